import { setImmediate as nextTurn } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import {
  RegistrationEndSchema,
  SnapshotEndSchema,
  type WatchRequest,
  type WatchResponse,
  WatchResponseSchema,
} from "../contract/index.ts";
import { type Due, LatestQueue, registryBounds, timers } from "../core/index.ts";
import type { ContractShelf } from "./contract-shelf.ts";
import type { Directory, DirectoryChange, DirectoryEntry } from "./directory.ts";
import { isAsked } from "./select.ts";

export interface WatchOptions {
  readonly directory: Directory;
  readonly contracts: ContractShelf;
  /** The name of the registry's state. */
  readonly epoch: string;
  /** Ends the watch with its reason. */
  readonly signal: AbortSignal;
}

/**
 * What Watch tells one watcher: what lives, that this was all, then changes. A watcher that is slow costs one entry a registration.
 *
 * @throws what the signal is aborted with.
 */
export async function* watchDirectory(request: WatchRequest, options: WatchOptions): AsyncGenerator<WatchResponse> {
  const watcher = new Watcher(request, options.epoch);
  for (const entry of options.directory.find(request)) watcher.take({ case: "put", entry, loadOnly: false });
  watcher.endSnapshot();
  const forget = options.directory.onChange((change) => watcher.take(change));
  const contracts = new Set<string>();
  let told = 0;
  try {
    for await (const response of watcher.untold.read(options.signal)) {
      if (++told % registryBounds.maxToldAtOnce === 0) await nextTurn();
      if (request.includeContracts) yield* newContract(response, contracts, options.contracts);
      yield response;
    }
  } finally {
    forget();
    watcher.stop();
  }
}

class Watcher {
  /** By place; the end of the snapshot, which has none, by the empty one, which no registration has. */
  readonly untold = new LatestQueue<string, WatchResponse>();
  readonly #request: WatchRequest;
  readonly #epoch: string;
  /** Places that the watcher knows or is going to: it must hear of their end. */
  readonly #places = new Set<string>();
  /** News of load alone, in the order in which they came, with the time at which they may be told. The entry holds the latest. */
  readonly #loads = new Map<string, { readonly entry: DirectoryEntry; readonly dueMs: number }>();
  #due: Due | undefined;

  constructor(request: WatchRequest, epoch: string) {
    this.#request = request;
    this.#epoch = epoch;
  }

  take(change: DirectoryChange): void {
    const { entry } = change;
    const { place } = entry;
    if (change.case === "put" && isAsked(entry.agent, this.#request)) {
      this.#places.add(place);
      if (change.loadOnly) this.#delay(entry);
      else this.#tellPut(entry);
    } else if (this.#places.delete(place)) {
      this.#loads.delete(place);
      const value = create(RegistrationEndSchema, { leaseId: place, revision: entry.revision });
      this.untold.set(place, create(WatchResponseSchema, { event: { case: "delete", value } }));
    }
  }

  endSnapshot(): void {
    const value = create(SnapshotEndSchema, { epoch: this.#epoch });
    this.untold.set("", create(WatchResponseSchema, { event: { case: "snapshotEnd", value } }));
  }

  stop(): void {
    this.#due?.cancel();
  }

  #tellPut(entry: DirectoryEntry): void {
    this.#loads.delete(entry.place);
    this.untold.set(entry.place, create(WatchResponseSchema, { event: { case: "put", value: entry.agent } }));
  }

  #delay(entry: DirectoryEntry): void {
    const { loadPeriodMs } = registryBounds;
    if (!this.#loads.has(entry.place)) this.#loads.set(entry.place, { entry, dueMs: performance.now() + loadPeriodMs });
    this.#due ??= timers.schedule(loadPeriodMs, () => this.#tellLoads());
  }

  /** Each when its own period is over: those of thousands at once would keep everybody waiting. */
  #tellLoads(): void {
    this.#due = undefined;
    const nowMs = performance.now();
    for (const { entry, dueMs } of this.#loads.values()) {
      if (dueMs > nowMs) {
        this.#due = timers.schedule(Math.max(dueMs - nowMs, registryBounds.loadStepMs), () => this.#tellLoads());
        return;
      }
      this.#tellPut(entry);
    }
  }
}

/** The bytes of the contract that a response names, if the watcher has not got them. */
async function* newContract(
  { event }: WatchResponse,
  told: Set<string>,
  contracts: ContractShelf,
): AsyncGenerator<WatchResponse> {
  const sha256 = event.case === "put" ? (event.value.registration?.contractSha256 ?? "") : "";
  if (sha256 === "" || told.has(sha256)) return;
  const contract = await contracts.find(sha256);
  if (contract === undefined) return;
  told.add(sha256);
  yield create(WatchResponseSchema, { event: { case: "contract", value: contract } });
}

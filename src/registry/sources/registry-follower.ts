import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Contract, RegisteredAgent, WatchResponse } from "../../contract/index.ts";
import { type Backoff, type Due, pause, registryBounds, timers, unavailable } from "../../core/index.ts";
import type { RegistryLink } from "../link.ts";
import type { AgentQuery } from "../select.ts";
import { Feed } from "./feed.ts";

export interface FollowerOptions {
  readonly link: RegistryLink;
  readonly query: Pick<AgentQuery, "capability" | "agent">;
  readonly backoff: Backoff;
  readonly onContract: (contract: Contract) => void;
}

interface Known {
  readonly agent: RegisteredAgent;
  /** When it is given up: set when a registry that has begun anew does not know it. */
  readonly due?: Due;
}

/**
 * What a registry tells of one capability or agent, kept while the registry is away. A registry that comes back with its state says what has
 * ended meanwhile; one that comes back without it is not believed until the agents that it does not know have had the time of their leases to
 * register again.
 */
export class RegistryFollower {
  /** The agents, changed in place and told anew; not there before the registry has told all. */
  readonly agents = new Feed<Iterable<RegisteredAgent>>();
  readonly #options: FollowerOptions;
  readonly #stopped = new AbortController();
  readonly #known = new Map<string, Known>();
  readonly #backoff: Backoff;
  #epoch: string | undefined;
  #failure: unknown;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#backoff = options.backoff;
    void this.#run();
  }

  /** Waits until all is known. @throws why it is not, when the registry could not be reached. */
  async ready(signal: AbortSignal | undefined): Promise<void> {
    while (this.agents.value === undefined) {
      if (this.#failure !== undefined) throw this.#failure;
      await this.agents.changed(signal);
    }
  }

  stop(reason: unknown): void {
    this.#stopped.abort(reason);
    for (const { due } of this.#known.values()) due?.cancel();
    this.#failure = reason;
    this.agents.wake();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      try {
        await this.#options.link.call(async (client) => {
          const { capability = "", agent = "" } = this.#options.query;
          const responses = client.watch({ capability, agent, includeContracts: true }, { signal });
          const seen = new Set<string>();
          for await (const { event } of responses) this.#take(event, seen);
          throw unavailable("the registry has ended the watch", 1_000);
        });
      } catch (thrown) {
        if (signal.aborted) return;
        this.#failure = thrown;
        this.agents.wake();
        await pause(this.#backoff.nextMs(), signal);
        this.#failure = undefined;
      }
    }
  }

  /** @param seen the places that this watch has told of. */
  #take(event: WatchResponse["event"], seen: Set<string>): void {
    switch (event.case) {
      case "put":
        this.#put(event.value);
        seen.add(event.value.lease?.id ?? "");
        break;
      case "delete":
        this.#delete(event.value.leaseId, event.value.revision);
        break;
      case "contract":
        this.#options.onContract(event.value);
        return;
      case "snapshotEnd":
        this.#reconcile(seen, event.value.epoch);
        this.#backoff.reset();
        this.#tell();
        return;
    }
    if (this.#epoch !== undefined) this.#tell();
  }

  #put(agent: RegisteredAgent): void {
    const place = agent.lease?.id ?? "";
    const before = this.#known.get(place);
    if (before === undefined && this.#known.size >= registryBounds.maxKnown) return;
    before?.due?.cancel();
    this.#known.set(place, { agent });
  }

  #delete(place: string, revision: bigint): void {
    const known = this.#known.get(place);
    if (known === undefined || (known.agent.lease?.revision ?? 0n) > revision) return;
    known.due?.cancel();
    this.#known.delete(place);
  }

  #reconcile(seen: ReadonlySet<string>, epoch: string): void {
    const beganAnew = this.#epoch !== undefined && this.#epoch !== epoch;
    this.#epoch = epoch;
    for (const [place, { agent, due }] of [...this.#known]) {
      if (seen.has(place)) continue;
      if (due !== undefined && !beganAnew) continue; // its time runs
      due?.cancel();
      if (beganAnew) this.#known.set(place, { agent, due: this.#giveUpAfter(agent, place) });
      else this.#known.delete(place);
    }
  }

  #giveUpAfter(agent: RegisteredAgent, place: string): Due {
    const ttl = agent.lease?.ttl;
    return timers.schedule(ttl === undefined ? registryBounds.ttlMs : durationMs(ttl), () => {
      this.#known.delete(place);
      this.#tell();
    });
  }

  #tell(): void {
    const known = this.#known;
    this.agents.set({
      *[Symbol.iterator]() {
        for (const { agent } of known.values()) yield agent;
      },
    });
  }
}

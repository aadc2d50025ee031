import { create } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, durationMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type DeregisterRequest,
  type Lease as LeaseMessage,
  LeaseSchema,
  type RegisterRequest,
  type RenewRequest,
} from "../contract/index.ts";
import { failedPrecondition, invalidArgument, notFound, permissionDenied, registryBounds } from "../core/index.ts";
import { isLeaseLost, type Lease, type Store } from "../store/index.ts";
import type { ContractShelf } from "./contract-shelf.ts";
import type { Directory, DirectoryChange, DirectoryEntry } from "./directory.ts";
import { newKey, replaceLoad, writeRecord } from "./record.ts";
import { checkRegistration, placeOf, type RegisterRules } from "./register.ts";

export interface RegistrationsOptions {
  readonly store: Store;
  readonly directory: Directory;
  readonly contracts: ContractShelf;
  readonly rules: RegisterRules;
}

/** Who asks: the identity it has proved, if any, and how long it is ready to wait. */
export interface Registrant {
  readonly identity: string | undefined;
  readonly signal: AbortSignal;
}

interface Held {
  readonly lease: Lease;
  /** The identity that its registrant had proved; undefined for none. Nobody else may touch the lease. */
  readonly owner: string | undefined;
  /** Its value. */
  record: Buffer;
}

/** The leases that registrants hold through this registry. */
export class Registrations {
  readonly #options: RegistrationsOptions;
  /** By place. What another registry on the same store gave is not here. */
  readonly #held = new Map<string, Held>();

  constructor(options: RegistrationsOptions) {
    this.#options = options;
    options.directory.onChange((change) => this.#forgetOld(change));
  }

  /** @throws ConnectError as {@link checkRegistration} and {@link ContractShelf.take} do; RESOURCE_EXHAUSTED when the store is full. */
  async register(request: RegisterRequest, { identity, signal }: Registrant): Promise<LeaseMessage> {
    const { store, directory, contracts, rules } = this.#options;
    const ttlMs = ttlOf(request.ttl);
    const registration = await checkRegistration(request, identity, rules);
    await contracts.take(registration.contractSha256, request.contract);
    const place = placeOf(registration);
    this.#checkTakeover(place, registration.identity, identity);
    const record = writeRecord({ place, registration, ttlMs, load: request.load });
    const key = newKey(place);
    const lease = await store.lease(key, record, ttlMs);
    const before = this.#held.get(place);
    const held = { lease, owner: identity, record };
    if (before === undefined || before.lease.revision < lease.revision) this.#held.set(place, held);
    await before?.lease.release();
    await directory.seen(place, { key, revision: lease.revision }, signal);
    return leaseMessage(place, lease.revision, ttlMs);
  }

  /**
   * @param identity the one that the registrant has proved.
   * @throws ConnectError NOT_FOUND when nobody holds the place, or not through this registry; FAILED_PRECONDITION (type LEASE_REVISION)
   *   when a later registration does; PERMISSION_DENIED when the registrant is not who registered.
   */
  async renew({ leaseId, revision, load }: RenewRequest, identity: string | undefined): Promise<LeaseMessage> {
    const entry = this.#find(leaseId, revision, identity);
    const held = this.#held.get(leaseId);
    if (held?.lease.revision !== revision) throw noLease(leaseId);
    const { agent } = entry;
    const record = load === undefined ? held.record : replaceLoad(held.record, load);
    const isNews = !record.equals(held.record);
    try {
      await held.lease.renew(isNews ? record : undefined);
    } catch (thrown) {
      if (isLeaseLost(thrown)) throw noLease(leaseId);
      throw thrown;
    }
    held.record = record;
    return leaseMessage(leaseId, revision, durationMs(agent.lease?.ttl ?? durationFromMs(registryBounds.ttlMs)));
  }

  /** Ends a lease of this revision; one that has ended is no error. @throws ConnectError as {@link renew}, save NOT_FOUND. */
  async deregister({ leaseId, revision }: DeregisterRequest, identity: string | undefined): Promise<void> {
    const entry = this.#options.directory.get(leaseId);
    if (entry === undefined) return;
    this.#find(leaseId, revision, identity);
    await this.#held.get(leaseId)?.lease.release();
    this.#options.directory.apply({ case: "delete", key: entry.key, revision });
  }

  #find(place: string, revision: bigint, identity: string | undefined): DirectoryEntry {
    if (place === "") throw invalidArgument([{ field: "lease_id", description: "is required" }]);
    const entry = this.#options.directory.get(place);
    if (entry === undefined) throw noLease(place);
    const held = this.#held.get(place);
    if (held !== undefined && held.owner !== identity) {
      throw permissionDenied(`lease "${place}" is another registrant's`, "IDENTITY_MISMATCH");
    }
    if (entry.revision === revision) return entry;
    const description = `lease "${place}" has revision ${entry.revision}, not ${revision}: a later registration holds it`;
    throw failedPrecondition({ type: "LEASE_REVISION", subject: place, description });
  }

  /** Whoever proved an identity, or registered one, keeps the place from others until its lease ends. */
  #checkTakeover(place: string, registered: string, proved: string | undefined): void {
    const holder = this.#options.directory.get(place);
    if (holder === undefined) return;
    const owner = this.#held.get(place)?.owner;
    const identity = holder.agent.registration?.identity ?? "";
    if ((owner === undefined || owner === proved) && (identity === "" || identity === registered)) return;
    throw permissionDenied(`another identity holds "${place}" until its lease ends`, "IDENTITY_MISMATCH");
  }

  /** A lease that has ended, or that a registration at another registry has overtaken, is nobody's to renew. */
  #forgetOld({ case: kind, entry }: DirectoryChange): void {
    const lease = this.#held.get(entry.place)?.lease;
    if (lease === undefined) return;
    if (kind === "delete" ? lease.revision > entry.revision : lease.revision >= entry.revision) return;
    this.#held.delete(entry.place);
    if (kind === "put") void lease.release().catch(() => {}); // it ends by itself anyway
  }
}

function ttlOf(ttl: Duration | undefined): number {
  const { minTtlMs, maxTtlMs } = registryBounds;
  const ttlMs = ttl === undefined ? registryBounds.ttlMs : durationMs(ttl);
  if (ttlMs >= minTtlMs && ttlMs <= maxTtlMs) return ttlMs;
  throw invalidArgument([{ field: "ttl", description: `must be from ${minTtlMs / 1000} s to ${maxTtlMs / 1000} s` }]);
}

function noLease(place: string) {
  return notFound({ type: "lease", name: place, hint: "it has ended, or never was; register again" });
}

function leaseMessage(place: string, revision: bigint, ttlMs: number): LeaseMessage {
  const expireTime = timestampFromMs(Date.now() + ttlMs);
  return create(LeaseSchema, { id: place, revision, ttl: durationFromMs(ttlMs), expireTime });
}

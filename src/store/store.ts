/**
 * Where state lives: append-only logs and leases. Task logs, threads, the registry and locks stand on these six methods; the stores
 * that implement them (`createMemoryStore` in this process, `createSqliteStore` in a file) run one suite, `test/support/store-contract.ts`.
 *
 * What a method's promise has acknowledged stays: it survives whatever the store says that it survives.
 *
 * Names of logs and keys of leases are 1 to 256 printable ASCII characters without spaces; `/` divides them by custom and means nothing to
 * a store. Logs and leases do not share their names. A wrong name or number is a RangeError; everything else that fails is a
 * ConnectError. UNAVAILABLE means that the store is away and that the call may or may not have been taken: an append is safe to
 * repeat with its `expectedLength`.
 */
export interface Store {
  /** What an acknowledged append survives: nothing but this process, kill -9 and a power cut, or the loss of a machine as well. */
  readonly durability: Durability;

  /**
   * Adds entries to the end of a log, which begins with its first append: all of them or none, next to each other, in their order.
   *
   * The store keeps the arrays: whoever appended them changes them no more.
   *
   * @returns the log's new length; the last entry's number is one below.
   * @throws ConnectError FAILED_PRECONDITION ({@link isLengthConflict}) when the log has not `expectedLength` entries;
   *   RESOURCE_EXHAUSTED when an entry has more than 4 MiB, there are more than 10,000 of them, or the store is full.
   */
  append(log: string, entries: readonly Uint8Array[], options?: AppendOptions): Promise<number>;

  /**
   * The entries from number `from` on, in order and without gaps, each once. Without `follow` it ends at what is then the end of the log;
   * with it, it waits for entries to come and never ends by itself. A log that is not there is an empty one.
   *
   * Any number of readers read one log, each at its own pace; a slow one costs no memory beyond the log. Nobody changes the arrays.
   *
   * @throws ConnectError OUT_OF_RANGE when the next entry has been trimmed; what `signal` is aborted with.
   */
  read(log: string, from: number, options?: ReadOptions): AsyncIterable<Uint8Array>;

  /**
   * Forgets the entries below number `before`, or all there are when that is beyond the end. The others keep their numbers, the log
   * its length. Trimming what is gone already changes nothing.
   */
  trim(log: string, before: number): Promise<void>;

  /** The logs whose names begin with `prefix`, by name in the order of their characters: one page of them. */
  logs(prefix: string, options?: LogsOptions): Promise<readonly LogInfo[]>;

  /**
   * Takes a key for `ttlMs` milliseconds, 100 to 86,400,000 (a day). The lease ends by itself when it is not renewed in time: never
   * early, and at most 250 ms late.
   *
   * @param value at most 64 KiB, for those who {@link watch}.
   * @param term its time in milliseconds, or more than that.
   * @throws ConnectError ALREADY_EXISTS ({@link isLeaseHeld}) while another lease has the key; RESOURCE_EXHAUSTED when the value is
   *   too large or the store is full.
   */
  lease(key: string, value: Uint8Array, term: number | LeaseTerm): Promise<Lease>;

  /**
   * The live leases whose keys begin with `prefix`, then a `current`, then their changes as they happen; no change is lost in between.
   *
   * A watcher that is slow gets the latest state of each key and may miss those before it, also the `delete` of a lease when its key has
   * been taken again: the higher revision tells. So its memory is bounded by the number of keys. A `delete` may be of a lease that it
   * has never seen.
   *
   * @throws what `signal` is aborted with; the watch never ends otherwise.
   */
  watch(prefix: string, options: { readonly signal: AbortSignal }): AsyncIterable<LeaseChange>;
}

export type Durability = "memory" | "disk" | "cluster";

export interface AppendOptions {
  /** The number of entries that the log must have, trimmed ones counted, so that of two writers one is refused. Default: no matter. */
  readonly expectedLength?: number;
}

export interface ReadOptions {
  /** Waits for what is to come. Default false. */
  readonly follow?: boolean;
  /** Ends the reading, also in the middle of a wait; leaving the loop does not interrupt a wait. Default: never. */
  readonly signal?: AbortSignal;
}

/** How long a lease lasts. */
export interface LeaseTerm {
  readonly ttlMs: number;
  /**
   * Lets the lease end early when the process that took it is certain to be gone, where the store can tell: within a second, and at once for a
   * process that opens the store. One that only sleeps keeps it. Default false: it lasts for its time, whatever becomes of who took it.
   */
  readonly endsWithProcess?: boolean;
}

export interface LogsOptions {
  /** Only names after this one: the last of the page before. Default: from the first. */
  readonly after?: string;
  /** The most that are given, 1 to 1,000. Default 100. */
  readonly limit?: number;
}

/** A log as a list tells of it. */
export interface LogInfo {
  readonly name: string;
  /** How many entries it has had; equally, the number of the next one. */
  readonly length: number;
  /** Milliseconds since the epoch. */
  readonly lastAppendMs: number;
}

/** A key that is held for a while. */
export interface Lease {
  /**
   * The fencing token: above that of every lease that the store gave before, and the same until the lease ends. Whatever a holder writes
   * elsewhere can carry it, so that one who woke up late is told from the one who holds the key now.
   */
  readonly revision: bigint;
  /**
   * Holds it for another `ttlMs` from now, with a new value if one is given.
   *
   * @throws ConnectError FAILED_PRECONDITION ({@link isLeaseLost}) when it has ended: the key may be another's by now.
   */
  renew(value?: Uint8Array): Promise<void>;
  /** Ends it; nothing happens when it has ended. */
  release(): Promise<void>;
}

/** What a watcher is told. */
export type LeaseChange =
  /** The lease is there, or has another value. */
  | { readonly case: "put"; readonly key: string; readonly value: Uint8Array; readonly revision: bigint }
  /** The lease of this revision has ended, and so have those that had the key before. */
  | { readonly case: "delete"; readonly key: string; readonly revision: bigint }
  /** All leases that lived when the watch began have been told. Comes once. */
  | { readonly case: "current" };

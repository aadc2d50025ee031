/** Bounds of every store; those of one implementation stand in its options. */
export const storeBounds = {
  /** Characters of a log's name or a lease's key: what fits a column, a subject, a path. */
  maxNameChars: 256,
  /** One entry of a log: as much as a message carries. */
  maxEntryBytes: 4 * 1024 * 1024,
  /** Entries of one append. */
  maxAppendEntries: 10_000,
  /** Logs that one page of a list names. */
  maxLogsPage: 1_000,
  /** Logs that one page of a list names when nothing is said. */
  logsPage: 100,
  /** The value of a lease. */
  maxLeaseValueBytes: 64 * 1024,
  /** The shortest time that a lease is taken for; less could not be renewed in time. */
  minLeaseTtlMs: 100,
  /** The longest time that a lease is taken for: whoever holds it for longer renews it. */
  maxLeaseTtlMs: 24 * 60 * 60 * 1000,
} as const;

/** Bounds of the store in an SQLite file; see `SqliteStoreOptions` for those that can be chosen. */
export const sqliteBounds = {
  /** Appends and other changes that wait for the disk; one more is RESOURCE_EXHAUSTED. */
  maxWaitingOperations: 100_000,
  /** Bytes of what waits for the disk, also of one append alone. */
  maxWaitingBytes: 64 * 1024 * 1024,
  /** How long the file may be kept by another process. */
  busyTimeoutMs: 5_000,
  /** … before a reader gives up: it keeps the process waiting meanwhile. Nobody keeps readers out but for the moment of a recovery. */
  readBusyTimeoutMs: 250,
  /** Names of logs that were trimmed to nothing; those emptied first are forgotten. */
  maxEmptiedLogs: 100_000,
  /** Changes of leases of which those that ended are remembered; whoever was away for longer compares all that there are. */
  maxEndedLeases: 10_000,
  /** Logs whose length the writer keeps in mind. */
  maxKnownLogs: 10_000,
  /** Operations of one transaction: more would let the first of them wait. */
  maxGroupOperations: 5_000,
  /** Bytes of one transaction, when it is of several appends. */
  maxGroupBytes: 8 * 1024 * 1024,
  /** Pages of the WAL, 64 MiB. It is emptied for once while all wait when it has more: several who write on and on leave no other moment. */
  maxWalPages: 16_384,
  /** Entries that are read at once: a fraction of a millisecond. */
  pageEntries: 256,
  /** Bytes that are read at once, which each reader holds, but for an entry that is larger. */
  pageBytes: 64 * 1024,
  /** Leases, and logs that are waited for, that are looked at before others have a turn. */
  pageLeases: 500,
  /** How often changes of other processes are looked for, while somebody waits for them. */
  pollMs: 20,
  /** When to come back to a store that is busy. */
  retryMs: 100,
  /** When to come back to a full disk. */
  fullRetryMs: 1_000,
} as const;

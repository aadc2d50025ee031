/** Where state lives: the contract of every store, the one in this process, and the one in a file. */
export { firstKept, isLeaseHeld, isLeaseLost, isLengthConflict } from "./errors.ts";
export { createMemoryStore, type MemoryStoreOptions } from "./memory-store.ts";
export { createNatsStore, type NatsStore } from "./nats/nats-store.ts";
export type { NatsCredentials, NatsStoreOptions, NatsTlsOptions } from "./nats/options.ts";
export { createSqliteStore, type SqliteStore, type SqliteStoreOptions } from "./sqlite/sqlite-store.ts";
export type {
  AppendOptions,
  Durability,
  Lease,
  LeaseChange,
  LeaseTerm,
  LogInfo,
  LogsOptions,
  ReadOptions,
  Store,
} from "./store.ts";

/** Where state lives: the contract of every store, and the one in this process. */
export { isLeaseHeld, isLeaseLost, isLengthConflict } from "./errors.ts";
export { createMemoryStore, type MemoryStoreOptions } from "./memory-store.ts";
export type { AppendOptions, Durability, Lease, LeaseChange, LogInfo, LogsOptions, ReadOptions, Store } from "./store.ts";

import { MemoryBudget } from "./memory-budget.ts";
import { MemoryLeases } from "./memory-leases.ts";
import { MemoryLogs } from "./memory-logs.ts";
import type { Store } from "./store.ts";

/** Bounds of a store in this process. What does not fit is RESOURCE_EXHAUSTED. */
export interface MemoryStoreOptions {
  /** Entries and values together, in bytes, with 64 for each of them. Default 256 MiB. */
  readonly maxBytes?: number;
  /** Logs. When they run out, the name of the one that was first trimmed to nothing is forgotten. Default 100,000. */
  readonly maxLogs?: number;
  /** Leases at once. Default 100,000. */
  readonly maxLeases?: number;
}

/**
 * A store in the memory of this process, for tests and for servers that need none other. It ends with the process, and nothing needs
 * to be closed; leases and waiting readers do not keep the process alive.
 */
export function createMemoryStore(options: MemoryStoreOptions = {}): Store {
  const { maxBytes = 256 * 1024 * 1024, maxLogs = 100_000, maxLeases = 100_000 } = options;
  const budget = new MemoryBudget(maxBytes);
  const logs = new MemoryLogs(budget, maxLogs);
  const leases = new MemoryLeases(budget, maxLeases);
  return {
    durability: "memory",
    append: async (log, entries, options = {}) => logs.append(log, entries, options),
    read: (log, from, options = {}) => logs.read(log, from, options),
    trim: async (log, before) => logs.trim(log, before),
    logs: async (prefix, options = {}) => logs.list(prefix, options),
    lease: async (key, value, term) => leases.lease(key, value, term),
    watch: (prefix, { signal }) => leases.watch(prefix, signal),
  };
}

/** Shared memory: threads, each an append-only log whose entries are chained by hashes. */
export type { AppendOptions } from "./appends.ts";
export type { EntryAuthor, EntryInit } from "./entry.ts";
export { createMemory, type Memory, type MemoryOptions } from "./memory.ts";
export type { FoundEntries, FoundEntry, ThreadQuery } from "./search.ts";
export {
  createThreads,
  type PageOptions,
  type ThreadPage,
  type ThreadState,
  type Threads,
  type ThreadsOptions,
} from "./threads.ts";
export { checkAppend } from "./validate.ts";

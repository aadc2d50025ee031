import type { Logger } from "pino";
import type { ThreadEntry } from "../contract/index.ts";
import { defaultLimits, type Limits, memoryBounds } from "../core/index.ts";
import type { Store } from "../store/index.ts";
import { type AppendOptions, Appends } from "./appends.ts";
import type { EntryInit } from "./entry.ts";
import { type FoundEntries, type ThreadQuery, ThreadSearch } from "./search.ts";
import { firstKept, isTrimmed, readThread, threadLength } from "./thread-log.ts";
import { Check, checkAppend, checkThread } from "./validate.ts";

/**
 * Shared memory: threads over a store. Several processes on one store share them.
 *
 * Each method throws ConnectError INVALID_ARGUMENT for what is malformed; DATA_LOSS, reason THREAD_DAMAGED, for a thread that is not as it was
 * appended; OUT_OF_RANGE for entries that are not kept any more; and what the store throws. See `agent.v1.MemoryService`.
 */
export interface Threads {
  /**
   * Appends all or none. Entries with ids that the same author has appended with the same content are not appended again: the answer
   * has them as they are there. The thread's first append in this process reads the whole thread.
   *
   * @throws ConnectError ALREADY_EXISTS, reason ENTRY_ID_REUSED; FAILED_PRECONDITION, type THREAD_LENGTH or THREAD_TRIMMED;
   *   RESOURCE_EXHAUSTED for a thread that is full (`maxThreadEntries`); UNAVAILABLE when others came first too often.
   */
  append(thread: string, entries: readonly EntryInit[], options: AppendOptions): Promise<readonly ThreadEntry[]>;
  /** A page of a thread. */
  read(thread: string, options?: PageOptions): Promise<ThreadPage>;
  /** The entries from a number on, then each that is appended. @throws what `signal` is aborted with; it does not end otherwise. */
  tail(thread: string, options: { readonly from?: number; readonly signal: AbortSignal }): AsyncIterable<ThreadEntry>;
  /** Finds entries by their words. @throws ConnectError RESOURCE_EXHAUSTED when too many searches wait. */
  search(query: ThreadQuery): Promise<FoundEntries>;
  /** Walks the chain. */
  verify(thread: string, options?: { readonly signal?: AbortSignal }): Promise<ThreadState>;
  /** Ends the search's index. The store stays its owner's. */
  close(): void;
}

export interface PageOptions {
  /** The first entry's number. Default 0. */
  readonly from?: number;
  /** 1 to 1,000. Default 100. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

export interface ThreadPage {
  /** They end early when there is more than 1 MiB of them. */
  readonly entries: readonly ThreadEntry[];
  /** Where the next page begins; `length` when this was the last one. */
  readonly next: number;
  readonly length: number;
}

/** A thread that is whole. */
export interface ThreadState {
  /** The first entry that is kept. */
  readonly first: number;
  readonly length: number;
  /** The hash of the last entry; empty when there is none. */
  readonly sha256: string;
}

export interface ThreadsOptions {
  readonly store: Store;
  /** Told of damaged threads that searches come by. Default: nobody. */
  readonly log?: Logger | undefined;
  /** Default: {@link defaultLimits}. */
  readonly limits?: Pick<Limits, "maxThreadEntries" | "maxSearchIndexBytes">;
}

/** Threads over a store. Nothing is read before it is needed. */
export function createThreads({ store, log, limits = defaultLimits }: ThreadsOptions): Threads {
  const appends = new Appends(store, limits.maxThreadEntries);
  const search = new ThreadSearch({ store, log, maxBytes: limits.maxSearchIndexBytes });
  return {
    async append(thread, entries, options) {
      checkAppend(thread, entries, options.expectedLength);
      return appends.append(thread, entries, options);
    },
    read: (thread, options = {}) => readPage(store, thread, options),
    async *tail(thread, { from = 0, signal }) {
      checkThread(thread);
      yield* readThread(store, thread, { from, follow: true, signal });
    },
    search: (query) => search.search(query),
    verify: (thread, options = {}) => verify(store, thread, options.signal),
    close: () => search.close(),
  };
}

async function readPage(store: Store, thread: string, { from = 0, limit = 0, signal }: PageOptions): Promise<ThreadPage> {
  checkPage(thread, from, limit);
  const entries: ThreadEntry[] = [];
  let bytes = 0;
  let isFull = false;
  for await (const entry of readThread(store, thread, { from, signal })) {
    entries.push(entry);
    bytes += Buffer.byteLength(entry.content) + memoryBounds.recordOverheadBytes;
    isFull = entries.length === (limit || memoryBounds.pageEntries) || bytes >= memoryBounds.maxPageBytes;
    if (isFull) break;
  }
  const next = from + entries.length;
  const length = isFull || entries.length === 0 ? await threadLength(store, thread) : next;
  return { entries, next: Math.min(next, length), length };
}

function checkPage(thread: string, from: number, limit: number): void {
  const check = new Check();
  check.thread("thread", thread);
  check.number("from_number", from);
  check.number("limit", limit);
  if (limit > memoryBounds.maxPageEntries) {
    check.refuse("limit", `is ${limit}; at most ${memoryBounds.maxPageEntries} are given`);
  }
  check.finish();
}

async function verify(store: Store, thread: string, signal: AbortSignal | undefined): Promise<ThreadState> {
  checkThread(thread);
  try {
    return await walk(store, thread, { from: 0, signal });
  } catch (thrown) {
    if (!isTrimmed(thrown)) throw thrown;
    return walk(store, thread, { from: await firstKept(store, thread, signal), signal });
  }
}

interface WalkOptions {
  readonly from: number;
  readonly signal: AbortSignal | undefined;
}

async function walk(store: Store, thread: string, { from, signal }: WalkOptions): Promise<ThreadState> {
  let [length, sha256] = [from, ""];
  for await (const entry of readThread(store, thread, { from, signal })) [length, sha256] = [entry.number + 1, entry.sha256];
  return { first: from, length, sha256 };
}

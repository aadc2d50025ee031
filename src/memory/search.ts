import { setTimeout } from "node:timers/promises";
import type { Logger } from "pino";
import type { ThreadEntry } from "../contract/index.ts";
import { isThreadDamaged, memoryBounds, resourceExhausted } from "../core/index.ts";
import type { Store } from "../store/index.ts";
import { CatchUp } from "./catch-up.ts";
import { type IndexThread, startIndexThread } from "./index-thread.ts";
import type { IndexHit } from "./search-index.ts";
import { toMatch } from "./search-query.ts";
import { isTrimmed, readEntry } from "./thread-log.ts";
import { Check } from "./validate.ts";

/** What is looked for; see `agent.v1.SearchRequest`. */
export interface ThreadQuery {
  readonly query: string;
  /** Only in this thread. Default: in all. */
  readonly thread?: string;
  /** Only in threads whose names begin so. */
  readonly threadPrefix?: string;
  readonly kind?: string;
  /** The author's name. */
  readonly author?: string;
  /** 1 to 100. Default 10. */
  readonly limit?: number;
}

export interface FoundEntry {
  readonly thread: string;
  readonly entry: ThreadEntry;
  /** The higher, the better; to be compared within one search. */
  readonly score: number;
  readonly snippet: string;
}

export interface FoundEntries {
  /** The best first. */
  readonly results: readonly FoundEntry[];
  /** Not all was searched. */
  readonly partial: boolean;
}

export interface ThreadSearchOptions {
  readonly store: Store;
  readonly log: Logger | undefined;
  /** Text that the index holds. */
  readonly maxBytes: number;
}

interface Session {
  readonly index: IndexThread;
  readonly catchUp: CatchUp;
}

/**
 * Full-text search over the threads of a store. The index is built from the logs when somebody searches, lives in a thread of its own and is
 * thrown away at will; what is found is read from the log.
 */
export class ThreadSearch {
  readonly #options: ThreadSearchOptions;
  readonly #closed = new AbortController();
  #session: Session | undefined;
  #waiting = 0;

  constructor(options: ThreadSearchOptions) {
    this.#options = options;
  }

  /** @throws ConnectError INVALID_ARGUMENT for a query that is none; RESOURCE_EXHAUSTED when too many wait; what the store throws. */
  async search(query: ThreadQuery): Promise<FoundEntries> {
    const asked = resolve(query);
    if (this.#waiting >= memoryBounds.maxWaitingSearches) {
      const description = `${this.#waiting} searches are waiting, the most allowed`;
      throw resourceExhausted({ subject: "searches", description, retryMs: memoryBounds.searchPatienceMs });
    }
    this.#waiting++;
    try {
      const { index, catchUp } = this.#open();
      const current = await inTime(catchUp.ask());
      const results = await this.#read(await index.search(asked), catchUp);
      return { results, partial: !current || !catchUp.isComplete(asked) };
    } finally {
      this.#waiting--;
    }
  }

  close(): void {
    this.#closed.abort();
    this.#session?.index.close();
  }

  /** An index that has failed is begun anew. */
  #open(): Session {
    if (this.#session !== undefined && !this.#session.index.ended) return this.#session;
    const { store, log, maxBytes } = this.#options;
    const index = startIndexThread(maxBytes);
    const { signal } = this.#closed;
    this.#session = { index, catchUp: new CatchUp({ store, index, log, signal }) };
    if (signal.aborted) index.close();
    return this.#session;
  }

  async #read(hits: readonly IndexHit[], catchUp: CatchUp): Promise<FoundEntry[]> {
    const results: FoundEntry[] = [];
    let bytes = 0;
    for (const { thread, number, score, snippet } of hits) {
      try {
        const entry = await readEntry(this.#options.store, thread, number);
        results.push({ thread, entry, score, snippet });
        bytes += Buffer.byteLength(entry.content) + memoryBounds.recordOverheadBytes;
        if (bytes >= memoryBounds.maxResultBytes) break;
      } catch (thrown) {
        if (isThreadDamaged(thrown)) catchUp.noteDamage(thread, thrown);
        else if (!isTrimmed(thrown)) throw thrown;
      }
    }
    return results;
  }
}

function resolve(asked: ThreadQuery) {
  const { query, thread = "", threadPrefix = "", kind = "", author = "", limit = 0 } = asked;
  const { maxThreadChars, maxKindChars, maxResults, results } = memoryBounds;
  const check = new Check();
  check.word("thread", thread, maxThreadChars);
  check.word("thread_prefix", threadPrefix, maxThreadChars);
  check.word("kind", kind, maxKindChars);
  check.number("limit", limit);
  if (limit > maxResults) check.refuse("limit", `is ${limit}; at most ${maxResults} are given`);
  check.finish();
  return { match: toMatch(query), thread, threadPrefix, kind, author, limit: limit || results };
}

/** False when it takes longer than a search waits; it goes on then. */
async function inTime(work: Promise<void>): Promise<boolean> {
  const timer = new AbortController();
  const late = setTimeout(memoryBounds.searchPatienceMs, false, { signal: timer.signal }).catch(() => false);
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    timer.abort();
  }
}

import type { Logger } from "pino";
import type { ThreadEntry } from "../contract/index.ts";
import { isThreadDamaged, memoryBounds } from "../core/index.ts";
import type { LogInfo, Store } from "../store/index.ts";
import type { IndexThread } from "./index-thread.ts";
import type { IndexRow } from "./search-index.ts";
import { firstKept, isTrimmed, readThread, threadsPrefix } from "./thread-log.ts";

export interface CatchUpOptions {
  readonly store: Store;
  readonly index: IndexThread;
  readonly log: Logger | undefined;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** The names of logs that one page lists: the most that a store gives. */
const pageLogs = 1_000;

/** Keeps an index like the store's threads: takes in what is new when somebody asks. */
export class CatchUp {
  readonly #options: CatchUpOptions;
  /** The number of the next entry of each thread. */
  readonly #positions = new Map<string, number>();
  /** Threads that are damaged, and how. */
  readonly #damaged = new Map<string, string>();
  #overflowed = false;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(options: CatchUpOptions) {
    this.#options = options;
  }

  /** Takes in all that was appended before. @throws what the store and the index do. */
  ask(): Promise<void> {
    if (this.#next !== undefined) return this.#next;
    if (this.#running === undefined) return this.#start();
    this.#next = this.#running.catch(() => {}).then(() => this.#start()); // the one that runs may have passed by what is asked for
    return this.#next;
  }

  /** True when the index has all of these threads, as far as it is current. */
  isComplete({ thread, threadPrefix }: { thread: string; threadPrefix: string }): boolean {
    const asked = (name: string) => name.startsWith(threadPrefix) && (thread === "" || name === thread);
    return !this.#overflowed && ![...this.#damaged.keys()].some(asked);
  }

  /** Remembers, and logs once, that a thread is damaged. */
  noteDamage(thread: string, err: unknown): void {
    const how = String(err);
    if (this.#damaged.get(thread) === how) return;
    this.#damaged.set(thread, how);
    this.#options.log?.warn({ err, thread }, "a thread is damaged; searches leave out what comes after");
  }

  #start(): Promise<void> {
    this.#next = undefined;
    const run = this.#run().finally(() => {
      this.#running = undefined;
    });
    this.#running = run;
    return run;
  }

  async #run(): Promise<void> {
    const { store, signal } = this.#options;
    for (let after = "", looked = 0; looked < memoryBounds.maxIndexedThreads; looked += pageLogs) {
      signal.throwIfAborted();
      const page = await store.logs(threadsPrefix, { after, limit: pageLogs });
      for (const info of page) await this.#takeIn(info);
      if (page.length < pageLogs) return;
      after = page.at(-1)?.name ?? "";
    }
    this.#overflowed = true;
  }

  async #takeIn({ name, length }: LogInfo): Promise<void> {
    const { store, index, signal } = this.#options;
    const thread = name.slice(threadsPrefix.length);
    let from = this.#positions.get(thread) ?? 0;
    if (from === length) return;
    if (from > length) {
      await index.remove(thread); // the log has begun anew
      from = 0;
    }
    try {
      await this.#readOn(thread, from);
    } catch (thrown) {
      if (!isTrimmed(thrown)) throw thrown;
      await this.#readOn(thread, await firstKept(store, thread, signal));
    }
  }

  async #readOn(thread: string, from: number): Promise<void> {
    const { store, signal } = this.#options;
    let rows: IndexRow[] = [];
    let bytes = 0;
    this.#positions.set(thread, from);
    try {
      for await (const entry of readThread(store, thread, { from, signal })) {
        rows.push(rowOf(thread, entry));
        bytes += entry.content.length + memoryBounds.recordOverheadBytes;
        if (bytes < memoryBounds.turnBytes) continue;
        await this.#add(thread, rows);
        rows = [];
        bytes = 0;
      }
      this.#damaged.delete(thread);
    } catch (thrown) {
      if (!isThreadDamaged(thrown)) throw thrown;
      this.noteDamage(thread, thrown);
    }
    await this.#add(thread, rows);
  }

  async #add(thread: string, rows: readonly IndexRow[]): Promise<void> {
    const last = rows.at(-1);
    if (last === undefined) return;
    if (!(await this.#options.index.add(rows))) this.#overflowed = true;
    this.#positions.set(thread, last.number + 1);
  }
}

function rowOf(thread: string, { number, kind, author, content }: ThreadEntry): IndexRow {
  return { thread, number, kind, author: author?.name ?? "", content };
}

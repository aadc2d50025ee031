import type { ThreadEntry } from "../contract/index.ts";
import { memoryBounds, resourceExhausted } from "../core/index.ts";

/** What is known of a thread that is appended to, so that its log is not read anew for each append. */
export class OpenThread {
  readonly name: string;
  /** Appends that are at work or wait. */
  waiting = 0;
  /** The number of the next entry, as far as it is known. */
  length = 0;
  /** The first entry that was kept when the log was read. */
  first = 0;
  /** The sha256 of the last entry; undefined when that one is not kept. */
  headSha256: string | undefined = "";
  /** False until the log has been read. */
  loaded = false;
  /** The number of the entry that each id stands for. */
  readonly ids = new Map<string, number>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(name: string) {
    this.name = name;
  }

  /** Does one thing after another, in the order in which they came. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  /** Takes in the next entry. */
  add({ number, id, sha256 }: ThreadEntry): void {
    this.length = number + 1;
    this.headSha256 = sha256;
    this.ids.set(id, number);
  }

  /** Forgets what is known. @param first where the thread is to be read from. */
  reset(first = 0): void {
    this.length = first;
    this.first = first;
    this.headSha256 = first === 0 ? "" : undefined;
    this.loaded = false;
    this.ids.clear();
  }
}

/** The threads that are appended to: as many, with as many ids, as there is room for. */
export class OpenThreads {
  /** The one that was used the longest ago comes first. */
  readonly #threads = new Map<string, OpenThread>();
  #ids = 0;

  /**
   * Does something to a thread, after what was to be done to it before.
   *
   * @throws ConnectError RESOURCE_EXHAUSTED when too much waits, or too many threads are at work.
   */
  async use<T>(name: string, work: (thread: OpenThread) => Promise<T>): Promise<T> {
    const thread = this.#get(name);
    if (thread.waiting >= memoryBounds.maxWaitingAppends) {
      const description = `${thread.waiting} appends wait for their turn on thread "${name}", the most allowed`;
      throw resourceExhausted({ subject: name, description, retryMs: memoryBounds.maxAppendWaitMs });
    }
    thread.waiting++;
    try {
      return await thread.inTurn(async () => {
        const before = thread.ids.size;
        try {
          return await work(thread);
        } finally {
          this.#ids += thread.ids.size - before;
        }
      });
    } finally {
      thread.waiting--;
      this.#makeRoom(memoryBounds.maxOpenThreads);
    }
  }

  #get(name: string): OpenThread {
    const known = this.#threads.get(name);
    if (known === undefined && !this.#makeRoom(memoryBounds.maxOpenThreads - 1)) {
      const description = `${this.#threads.size} threads are appended to, the most allowed at once`;
      throw resourceExhausted({ subject: "threads", description, retryMs: memoryBounds.maxAppendWaitMs });
    }
    const thread = known ?? new OpenThread(name);
    this.#threads.delete(name);
    this.#threads.set(name, thread);
    return thread;
  }

  /** False when there are more threads than that, and all are at work. */
  #makeRoom(maxThreads: number): boolean {
    for (const [name, thread] of this.#threads) {
      if (this.#threads.size <= maxThreads && this.#ids <= memoryBounds.maxKnownIds) return true;
      if (thread.waiting > 0) continue;
      this.#threads.delete(name);
      this.#ids -= thread.ids.size;
    }
    return this.#threads.size <= maxThreads;
  }
}

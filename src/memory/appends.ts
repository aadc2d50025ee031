import { setTimeout } from "node:timers/promises";
import type { ConnectError } from "@connectrpc/connect";
import type { ThreadEntry } from "../contract/index.ts";
import {
  alreadyExists,
  createBackoff,
  failedPrecondition,
  isThreadDamaged,
  memoryBounds,
  resourceExhausted,
  unavailable,
} from "../core/index.ts";
import { isLengthConflict, type Store } from "../store/index.ts";
import { type EntryAuthor, type EntryInit, isSame, sealEntry, writeRecord } from "./entry.ts";
import { type OpenThread, OpenThreads } from "./open-threads.ts";
import { firstKept, isTrimmed, readEntry, readThread, threadsPrefix } from "./thread-log.ts";

export interface AppendOptions {
  readonly author: EntryAuthor;
  /** The number of entries that the thread must have, trimmed ones counted. Default: no matter. */
  readonly expectedLength?: number | undefined;
}

/**
 * Appends to threads. Those of one process to one thread go one after another; of several processes the store lets one go first, and the
 * others look at what has come and try again.
 */
export class Appends {
  readonly #store: Store;
  readonly #maxEntries: number;
  readonly #threads = new OpenThreads();

  constructor(store: Store, maxEntries: number) {
    this.#store = store;
    this.#maxEntries = maxEntries;
  }

  append(name: string, inits: readonly EntryInit[], options: AppendOptions): Promise<ThreadEntry[]> {
    return this.#threads.use(name, (thread) => this.#append(thread, inits, options));
  }

  async #append(thread: OpenThread, inits: readonly EntryInit[], options: AppendOptions): Promise<ThreadEntry[]> {
    const { author, expectedLength } = options;
    if (!thread.loaded || (expectedLength ?? thread.length) !== thread.length) await this.#catchUp(thread);
    const backoff = createBackoff({ initialMs: 1, maxMs: memoryBounds.maxAppendWaitMs, jitter: 0.5 });
    for (let attempt = 1; attempt <= memoryBounds.maxAppendAttempts; attempt++) {
      const { entries, fresh } = await this.#continue(thread, inits, author);
      if (fresh.length === 0) return entries;
      if (expectedLength !== undefined && expectedLength !== thread.length) throw otherLength(thread, expectedLength);
      await this.#checkRoom(thread, fresh.length);
      if (await this.#write(thread, fresh)) return entries;
      await setTimeout(backoff.nextMs());
      await this.#catchUpAfterConflict(thread);
    }
    const message = `other servers append to thread "${thread.name}" all the time; append again`;
    throw unavailable(message, memoryBounds.maxAppendWaitMs);
  }

  /** The entries as they are or will be, and those of them that are not there yet. */
  async #continue(thread: OpenThread, inits: readonly EntryInit[], author: EntryAuthor) {
    const entries: ThreadEntry[] = [];
    const fresh: ThreadEntry[] = [];
    for (const init of inits) {
      const known = init.id && thread.ids.get(init.id);
      if (typeof known === "number") {
        entries.push(await this.#repeated(thread, known, { init, author }));
        continue;
      }
      const previousSha256 = fresh.at(-1)?.sha256 ?? thread.headSha256;
      if (previousSha256 === undefined) throw trimmedHead(thread);
      const entry = sealEntry(init, author, { thread: thread.name, number: thread.length + fresh.length, previousSha256 });
      entries.push(entry);
      fresh.push(entry);
    }
    return { entries, fresh };
  }

  /** @throws ConnectError ALREADY_EXISTS when it is another entry that has the id. */
  async #repeated({ name }: OpenThread, number: number, { init, author }: { init: EntryInit; author: EntryAuthor }) {
    const entry = await readEntry(this.#store, name, number);
    if (isSame(entry, init, author)) return entry;
    const metadata = { thread: name, id: entry.id, number: String(number) };
    const message = `the id "${entry.id}" stands for another entry of thread "${name}", number ${number}`;
    throw alreadyExists(message, { reason: "ENTRY_ID_REUSED", metadata });
  }

  async #checkRoom(thread: OpenThread, count: number): Promise<void> {
    const isFull = () => thread.length - thread.first + count > this.#maxEntries;
    if (!isFull()) return;
    thread.first = await firstKept(this.#store, thread.name); // some may have been trimmed meanwhile
    if (!isFull()) return;
    const kept = thread.length - thread.first;
    const description = `thread "${thread.name}" has ${kept} entries of the ${this.#maxEntries} that it may; begin another`;
    throw resourceExhausted({ subject: thread.name, description });
  }

  /** False when somebody else has appended. */
  async #write(thread: OpenThread, fresh: readonly ThreadEntry[]): Promise<boolean> {
    const { name, length } = thread;
    try {
      await this.#store.append(threadsPrefix + name, fresh.map(writeRecord), { expectedLength: length });
    } catch (thrown) {
      if (isLengthConflict(thrown)) return false;
      throw thrown;
    }
    for (const entry of fresh) thread.add(entry);
    return true;
  }

  async #catchUpAfterConflict(thread: OpenThread): Promise<void> {
    const { length } = thread;
    await this.#catchUp(thread);
    if (thread.length > length) return;
    thread.reset(); // the log has become shorter: it is another one
    await this.#catchUp(thread);
  }

  async #catchUp(thread: OpenThread): Promise<void> {
    try {
      await this.#readOn(thread);
    } catch (thrown) {
      if (isThreadDamaged(thrown)) thread.reset();
      if (!isTrimmed(thrown)) throw thrown;
      thread.reset(await firstKept(this.#store, thread.name));
      await this.#readOn(thread);
    }
  }

  async #readOn(thread: OpenThread): Promise<void> {
    const { name, length: from, headSha256: previousSha256 } = thread;
    for await (const entry of readThread(this.#store, name, { from, previousSha256 })) thread.add(entry);
    thread.loaded = true;
  }
}

function otherLength({ name, length }: OpenThread, expected: number): ConnectError {
  const description = `thread "${name}" has ${length} entries and not ${expected}; read the new ones and decide again`;
  return failedPrecondition({ type: "THREAD_LENGTH", subject: name, description });
}

/** Nobody knows any more what the next entry would have to go on from. */
function trimmedHead({ name }: OpenThread): ConnectError {
  const description = `the last entry of thread "${name}" is not kept any more, so nothing can go on from it; begin another`;
  return failedPrecondition({ type: "THREAD_TRIMMED", subject: name, description });
}

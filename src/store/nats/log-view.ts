import { setTimeout as delay } from "node:timers/promises";
import { natsBounds, waitFor } from "../../core/index.ts";
import { trimmed } from "../errors.ts";
import { entryLost, noAnswer, storeClosed } from "./failures.ts";
import type { Attempt, NatsLink, Stored } from "./link.ts";
import { endAfter, findEntry, type LogEnd, type LogPlace, noEnd, readLogEnd } from "./log-end.ts";
import { openLogMessage, unpackEntries } from "./log-message.ts";
import { SharedQuestion } from "./shared-question.ts";

/** Entries that were stored together. */
export interface Chunk {
  /** The number of the first. */
  readonly number: number;
  readonly entries: readonly Uint8Array[];
  /** The sequence of their message, and its hash. */
  readonly seq: number;
  readonly hash: string;
}

/** How far a reader has come. */
export interface Position {
  /** The next entry's number. */
  readonly number: number;
  /** The message before it, when it is known. */
  readonly after?: { readonly seq: number; readonly hash: string };
}

/** Where chunks that were appended just now are kept for a while. */
export interface RecentChunks {
  get(log: string, number: number): Chunk | undefined;
  add(log: string, chunk: Chunk): void;
}

/** How often servers that may be behind are asked before the leader alone is. */
const pageTries = 4;

/** One log for all who read it in this process. */
export class LogView {
  readonly place: LogPlace;
  /** Readers that have it. */
  readers = 0;
  /** Those that wait for more, which makes it listen. */
  followers = 0;
  /** Silences the listening; undefined while nobody follows. */
  hush: (() => void) | undefined;
  /** When something was last heard of the log, by the clock of `performance.now`. */
  heardMs = 0;
  readonly #link: NatsLink;
  readonly #recent: RecentChunks;
  readonly #wakes = new Set<() => void>();
  readonly #pages = new Map<string, Promise<Chunk[]>>();
  #end: LogEnd = noEnd;
  readonly #question = new SharedQuestion(() => this.#ask());

  constructor(link: NatsLink, place: LogPlace, recent: RecentChunks) {
    this.#link = link;
    this.place = place;
    this.#recent = recent;
  }

  get length(): number {
    return this.#end.length;
  }

  get first(): number {
    return this.#end.first;
  }

  /** Takes what the leader has told, or what this process has written. */
  hear(stored: Stored): void {
    const { name } = this.place;
    const message = openLogMessage(name, stored);
    if (typeof message === "string") return; // whoever reads it will find it damaged
    if (message.kind === "entries" && message.start === 0 && message.number === this.length) {
      const entries = unpackEntries(stored.data, message.count);
      if (entries !== undefined)
        this.#recent.add(name, { number: message.number, entries, seq: stored.seq, hash: message.hash });
    }
    this.advance(endAfter(message, stored));
  }

  /** Takes a newer state. */
  advance(end: LogEnd): void {
    this.heardMs = performance.now();
    if (end.seq <= this.#end.seq) return;
    this.#end = end;
    this.wake();
  }

  /** Lets all who wait look again. */
  wake(): void {
    for (const wake of [...this.#wakes]) wake();
  }

  /** Asks the leader where the log ends: it sees whatever was acknowledged before. */
  refresh(): Promise<void> {
    return this.#question.ask();
  }

  /** Waits until there is something for who has read up to this number. */
  async changed(number: number, signal: AbortSignal | undefined): Promise<void> {
    await waitFor(signal, (wake) => {
      this.#wakes.add(wake);
      if (this.length > number || this.first > number || this.#link.closed) queueMicrotask(wake);
      return () => this.#wakes.delete(wake);
    });
    if (this.#link.closed) throw storeClosed();
  }

  /**
   * The chunks from a position on, at least one; who is at the same place shares them.
   *
   * @throws ConnectError OUT_OF_RANGE when the entry has been trimmed; DATA_LOSS when it is not there, or not as it was written.
   */
  async chunks(position: Position): Promise<readonly Chunk[]> {
    const recent = this.#recent.get(this.place.name, position.number);
    if (recent !== undefined) return [recent];
    const key = `${position.number} ${position.after?.seq ?? ""}`;
    const page = this.#pages.get(key) ?? this.#fetch(position).finally(() => this.#pages.delete(key));
    this.#pages.set(key, page);
    return page;
  }

  async #ask(): Promise<void> {
    this.advance(await readLogEnd(this.#link, this.place, this.#attempt()));
  }

  async #fetch(position: Position): Promise<Chunk[]> {
    const { number, after } = position;
    const attempt = this.#attempt();
    const from =
      after === undefined ? await findEntry(this.#link, this.place, { number, end: this.#end, attempt }) : after.seq + 1;
    for (let tries = 0; ; tries++) {
      const fromLeader = tries >= pageTries;
      const read = await this.#readFrom({ from, hash: after?.hash }, fromLeader, attempt);
      const chunks = typeof read === "string" ? [] : read.filter((chunk) => chunk.number + chunk.entries.length > number);
      const [first] = chunks;
      if (first !== undefined && first.number <= number) return chunks;
      if (typeof read === "string" || first !== undefined || fromLeader) {
        await this.refresh();
        if (number < this.first) throw trimmed(this.place.name, { from: number, first: this.first });
        throw entryLost(this.place.name, number, typeof read === "string" ? read : "no message of NATS holds it");
      }
      if (performance.now() > attempt.untilMs) throw noAnswer(attempt.what, undefined);
      await delay(2 ** tries); // the server that answered is behind
    }
  }

  /** Reads until there is a chunk or nothing more; a string says what is wrong with the messages. */
  async #readFrom(
    { from, hash }: { from: number; hash: string | undefined },
    fromLeader: boolean,
    attempt: Attempt,
  ): Promise<Chunk[] | string> {
    const { name } = this.place;
    const chunks: Chunk[] = [];
    let parts: Stored[] = [];
    for (let [seq, previous] = [from, hash]; chunks.length === 0; ) {
      const page = fromLeader ? await this.#one(seq, attempt) : await this.#link.page(this.place, seq, attempt);
      if (page.length === 0) return chunks;
      for (const stored of page) {
        const message = openLogMessage(name, stored);
        const fault = typeof message !== "string" && previous !== undefined && message.previous !== previous;
        if (typeof message === "string" || fault) {
          if (chunks.length > 0) return chunks; // those are good; whoever goes on finds the fault first
          return typeof message === "string" ? message : "a message before it is gone";
        }
        [seq, previous] = [stored.seq + 1, message.hash];
        if (message.kind === "part") parts.push(stored);
        if (message.kind === "entries") {
          const whole = [...parts.filter((part) => message.start > 0 && part.seq >= message.start), stored];
          const packed = whole.length === 1 ? stored.data : Buffer.concat(whole.map(({ data }) => data));
          const entries = unpackEntries(packed, message.count);
          if (entries === undefined) return "a part of its append is gone";
          const before = chunks.at(-1);
          if (before !== undefined && before.number + before.entries.length !== message.number)
            return "the numbers do not go on";
          chunks.push({ number: message.number, entries, seq: stored.seq, hash: message.hash });
        }
        if (message.kind !== "part") parts = [];
      }
    }
    return chunks;
  }

  async #one(seq: number, attempt: Attempt): Promise<Stored[]> {
    const stored = await this.#link.next(this.place, seq, attempt);
    return stored === undefined ? [] : [stored];
  }

  #attempt(): Attempt {
    return { what: `log "${this.place.name}"`, untilMs: performance.now() + natsBounds.retryMs };
  }
}

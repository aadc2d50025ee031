import { setTimeout as delay } from "node:timers/promises";
import { natsBounds, storeBounds } from "../../core/index.ts";
import { lengthConflict } from "../errors.ts";
import { noAnswer } from "./failures.ts";
import type { Attempt, NatsLink } from "./link.ts";
import { findEntry, type LogEnd, type LogPlace, noEnd, readLogEnd } from "./log-end.ts";
import { logHeader, packEntries, sealLogMessage } from "./log-message.ts";

/** Room that a message needs beside its payload: headers, subject. */
const overheadBytes = 4 * 1024;

interface Settled {
  readonly resolve: (length: number) => void;
  readonly reject: (thrown: unknown) => void;
}

interface Append extends Settled {
  readonly entries: readonly Uint8Array[];
  readonly bytes: number;
  readonly expectedLength: number | undefined;
}

interface Trim extends Settled {
  readonly before: number;
}

/** Told of each change that this writer has made. */
export type WriteListener = (change: {
  readonly end: LogEnd;
  readonly number: number;
  readonly entries: readonly Uint8Array[];
}) => void;

/**
 * Writes one log, one message after the other, each by compare-and-set on the log's last one. What is asked for meanwhile goes into the
 * next message together: so a log takes many appends in the time that one needs.
 */
export class LogWriter {
  readonly #link: NatsLink;
  readonly #place: LogPlace;
  readonly #changed: WriteListener;
  readonly #queue: (Append | Trim)[] = [];
  /** As far as this writer knows: others may write too. */
  #end: LogEnd | undefined;
  #running = false;

  constructor(link: NatsLink, place: LogPlace, changed: WriteListener) {
    this.#link = link;
    this.#place = place;
    this.#changed = changed;
  }

  get idle(): boolean {
    return !this.#running;
  }

  append(entries: readonly Uint8Array[], bytes: number, expectedLength: number | undefined): Promise<number> {
    return new Promise((resolve, reject) => this.#enqueue({ entries, bytes, expectedLength, resolve, reject }));
  }

  trim(before: number): Promise<number> {
    return new Promise((resolve, reject) => this.#enqueue({ before, resolve, reject }));
  }

  #enqueue(operation: Append | Trim): void {
    this.#queue.push(operation);
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    await undefined; // what is asked for in the same turn goes together
    while (this.#queue.length > 0) {
      try {
        await this.#round();
      } catch (thrown) {
        this.#end = undefined;
        for (const { reject } of this.#queue.splice(0)) reject(thrown); // all that waited: none may overtake the one that failed
      }
    }
    this.#running = false;
  }

  /** Settles at least the first of the queue. */
  async #round(): Promise<void> {
    const attempt = { what: `log "${this.#place.name}"`, untilMs: performance.now() + natsBounds.retryMs };
    let known = this.#queue.length;
    for (let [tries, asked] = [0, false]; ; tries++) {
      if (performance.now() > attempt.untilMs) throw noAnswer(attempt.what, undefined); // others are quicker, again and again
      if (tries > 1) await delay(Math.random() * Math.min(2 ** tries, 200)); // of many writers one is first each time
      const end = this.#end ?? this.#guess(asked);
      if (end === undefined) {
        known = this.#queue.length;
        this.#end = await readLogEnd(this.#link, this.#place, attempt);
        asked = true;
        continue;
      }
      const settle = await this.#next(end, { attempt, asked, operations: this.#queue.slice(0, known) });
      if (settle !== undefined) return settle();
      this.#end = undefined;
      asked = true;
    }
  }

  /** Who expects a log to be new is mostly right. */
  #guess(asked: boolean): LogEnd | undefined {
    const first = this.#queue[0];
    return !asked && first !== undefined && "entries" in first && first.expectedLength === 0 ? noEnd : undefined;
  }

  /**
   * Does what comes first.
   *
   * @param asked whether the end is one that the leader gave after the operations had come: only then may it refuse any.
   * @returns what settles them; undefined when the end is to be asked for.
   */
  async #next(
    end: LogEnd,
    { attempt, asked, operations }: { attempt: Attempt; asked: boolean; operations: readonly (Append | Trim)[] },
  ): Promise<(() => void) | undefined> {
    const [first] = operations;
    if (first !== undefined && "before" in first) {
      if (!asked || !(await this.#trim(first.before, end, attempt))) return undefined;
      return () => this.#queue.shift()?.resolve(end.length);
    }
    const { entries, outcomes } = this.#group(end.length, operations);
    if (entries.length === 0 && !asked) return undefined;
    const next = entries.length === 0 ? end : await this.#write(entries, end, attempt);
    if (next === undefined) return undefined;
    this.#end = next;
    if (entries.length > 0) this.#changed({ end: next, number: end.length, entries });
    return () => {
      this.#queue.splice(0, outcomes.length);
      for (const settle of outcomes) settle();
    };
  }

  /** As many appends as fit into one message, and how each of them ends when it has been stored. */
  #group(length: number, operations: readonly (Append | Trim)[]): { entries: Uint8Array[]; outcomes: (() => void)[] } {
    const entries: Uint8Array[] = [];
    const outcomes: (() => void)[] = [];
    let bytes = 0;
    for (const operation of operations) {
      if ("before" in operation) break;
      const { expectedLength, resolve, reject } = operation;
      const actual = length + entries.length;
      if (expectedLength !== undefined && expectedLength !== actual) {
        outcomes.push(() => reject(lengthConflict(this.#place.name, { expected: expectedLength, actual })));
        continue;
      }
      bytes += operation.bytes;
      const isFull = bytes > this.#messageBytes || entries.length + operation.entries.length > storeBounds.maxAppendEntries;
      if (entries.length > 0 && isFull) break;
      for (const entry of operation.entries) entries.push(entry);
      const after = length + entries.length;
      outcomes.push(() => resolve(after));
    }
    return { entries, outcomes };
  }

  /** @returns the new end; undefined when somebody else has written. */
  async #write(entries: readonly Uint8Array[], end: LogEnd, attempt: Attempt): Promise<LogEnd | undefined> {
    const packed = packEntries(entries);
    const messageBytes = this.#messageBytes; // another server may allow others meanwhile
    let { seq, hash } = end;
    let start = 0;
    for (let offset = 0; ; offset += messageBytes) {
      const payload = packed.subarray(offset, offset + messageBytes);
      const isLast = offset + messageBytes >= packed.byteLength;
      const sealed = sealLogMessage(
        this.#place.name,
        {
          kind: isLast ? "entries" : "part",
          number: end.length,
          count: isLast ? entries.length : 0,
          first: end.first,
          start,
          lastAppendMs: end.lastAppendMs,
          previous: hash,
        },
        payload,
      );
      const stored = await this.#store(sealed.header, payload, { seq, attempt });
      if (stored === undefined) return undefined;
      [seq, hash] = [stored, sealed.hash];
      if (isLast) return { seq, hash, length: end.length + entries.length, first: end.first, lastAppendMs: Date.now() };
      if (start === 0) start = stored;
    }
  }

  /** @returns false when somebody else has written. */
  async #trim(before: number, end: LogEnd, attempt: Attempt): Promise<boolean> {
    const first = Math.min(before, end.length);
    if (first === 0 || first < end.first) return true;
    let kept = end;
    if (first > end.first) {
      const { length, lastAppendMs } = end;
      const sealed = sealLogMessage(
        this.#place.name,
        { kind: "trim", number: length, count: 0, first, start: 0, lastAppendMs, previous: end.hash },
        new Uint8Array(),
      );
      const seq = await this.#store(sealed.header, new Uint8Array(), { seq: end.seq, attempt });
      if (seq === undefined) return false;
      kept = { seq, length, first, lastAppendMs, hash: sealed.hash };
      this.#end = kept;
      this.#changed({ end: kept, number: length, entries: [] });
    }
    // Also when the word has been said before: whoever said it may have got no further.
    const seq = await findEntry(this.#link, this.#place, { number: first, end: kept, attempt });
    const { stream, subject } = this.#place;
    await this.#link.attempt(attempt, () => this.#link.manager.streams.purge(stream, { filter: subject, seq }));
    return true;
  }

  #store(header: string, data: Uint8Array, { seq, attempt }: { seq: number; attempt: Attempt }): Promise<number | undefined> {
    return this.#link.store({ place: this.#place, data, headers: { [logHeader]: header }, expectedSeq: seq }, attempt);
  }

  get #messageBytes(): number {
    return Math.min(natsBounds.messageBytes, this.#link.server.maxPayloadBytes - overheadBytes);
  }
}

import { setImmediate as turn } from "node:timers/promises";
import { sqliteBounds, storeBounds } from "../../core/index.ts";
import { check } from "../check.ts";
import { trimmed } from "../errors.ts";
import type { AppendOptions, LogInfo, LogsOptions, ReadOptions } from "../store.ts";
import { type Arrival, LogFollowers } from "./log-followers.ts";
import type { Page, Reader } from "./reader.ts";
import type { Done, Writer } from "./writer.ts";

/** What the parts of a store share. */
export interface StoreParts {
  readonly reader: Reader;
  readonly writer: Writer;
  /** @throws ConnectError UNAVAILABLE when the store is closed. */
  readonly checkOpen: () => void;
  /** Somebody begins to wait for what others write. */
  readonly onWait: () => void;
}

/** The logs of a store in a file. */
export class SqliteLogs {
  readonly #parts: StoreParts;
  readonly #followers: LogFollowers;
  /** How often this process has trimmed a log. */
  #trims = 0;

  constructor(parts: StoreParts) {
    this.#parts = parts;
    this.#followers = new LogFollowers((log) => parts.reader.length(log));
  }

  get isFollowed(): boolean {
    return this.#followers.size > 0;
  }

  append(name: string, entries: readonly Uint8Array[], { expectedLength }: AppendOptions): Promise<number> {
    check.name("log", name);
    check.entries(name, entries);
    if (expectedLength !== undefined) check.number("expectedLength", expectedLength);
    return this.#parts.writer.perform({ kind: "append", name, number: expectedLength ?? -1, arrays: entries });
  }

  async *read(name: string, from: number, options: ReadOptions): AsyncGenerator<Uint8Array, void, undefined> {
    const { follow = false, signal } = options;
    check.name("log", name);
    check.number("from", from);
    let number = from;
    let id: number | undefined;
    for (let arrival: Arrival | undefined; ; ) {
      signal?.throwIfAborted();
      this.#parts.checkOpen();
      const page: Page =
        arrival === undefined ? this.#parts.reader.page(name, number, id) : { id, isFull: false, isEnd: false, ...arrival };
      id = page.id;
      const isFresh = this.#watchTrims();
      for (const entry of page.entries) {
        if (!isFresh()) this.#checkKept(name, number);
        yield entry;
        number++;
        signal?.throwIfAborted();
      }
      arrival = undefined;
      if (page.isFull) await turn(); // a long log is read between other work
      if (!follow && (page.isEnd || page.entries.length === 0)) return;
      if (page.entries.length > 0) continue;
      this.#parts.onWait();
      arrival = await this.#followers.changed(name, number, signal);
    }
  }

  async trim(name: string, before: number): Promise<void> {
    check.name("log", name);
    check.number("before", before);
    await this.#parts.writer.perform({ kind: "trim", name, number: before, arrays: [] });
  }

  list(prefix: string, { after = "", limit = storeBounds.logsPage }: LogsOptions): LogInfo[] {
    check.prefix(prefix);
    check.limit(limit);
    this.#parts.checkOpen();
    return this.#parts.reader.list(prefix, after, limit);
  }

  /** Operations of this process are on the disk. */
  written(done: readonly Done[]): void {
    if (done.some(({ operation }) => operation.kind === "trim")) this.#trims++;
    this.#followers.appended(done);
  }

  /** Other processes may have written. */
  othersWrote(): void {
    void this.#followers.lookAgain();
  }

  /** Whoever waits finds the store closed. */
  close(): void {
    this.#followers.wakeAll();
  }

  /** Tells whether what was read is still kept for sure: not after a trim of this process, nor when others had the time for one. */
  #watchTrims(): () => boolean {
    let [trims, readMs] = [this.#trims, performance.now()];
    return () => {
      const now = performance.now();
      const isFresh = trims === this.#trims && now - readMs < sqliteBounds.pollMs;
      if (!isFresh) [trims, readMs] = [this.#trims, now];
      return isFresh;
    };
  }

  #checkKept(name: string, number: number): void {
    this.#parts.checkOpen();
    const first = this.#parts.reader.first(name);
    if (number < first) throw trimmed(name, { from: number, first });
  }
}

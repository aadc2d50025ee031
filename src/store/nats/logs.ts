import { natsBounds, resourceExhausted, storeBounds } from "../../core/index.ts";
import { check } from "../check.ts";
import { trimmed } from "../errors.ts";
import type { AppendOptions, LogInfo, LogsOptions, ReadOptions } from "../store.ts";
import { storeClosed } from "./failures.ts";
import type { NatsLink } from "./link.ts";
import { type LogPlace, readLogEnd } from "./log-end.ts";
import { listLogNames } from "./log-names.ts";
import { type Chunk, LogView, type Position } from "./log-view.ts";
import { LogWriter } from "./log-writer.ts";
import { RecentAppends } from "./recent.ts";
import { outcome } from "./shared-question.ts";
import type { Layout } from "./subjects.ts";

/** Counted for each append that waits beside its bytes, so that a flood of empty ones is bounded too. */
const overheadBytes = 256;

/** The logs: a subject each, in one of the log streams. */
export class NatsLogs {
  readonly #link: NatsLink;
  readonly #layout: Layout;
  /** Those used last come last. */
  readonly #writers = new Map<string, LogWriter>();
  readonly #views = new Map<string, LogView>();
  readonly #recent = new RecentAppends(natsBounds.recentBytes);
  readonly #recheck: NodeJS.Timeout;
  #queuedBytes = 0;

  constructor(link: NatsLink, layout: Layout) {
    this.#link = link;
    this.#layout = layout;
    link.onReturn(() => void this.#refresh(0));
    this.#recheck = setInterval(() => void this.#refresh(natsBounds.recheckMs), natsBounds.recheckMs).unref();
  }

  async append(name: string, entries: readonly Uint8Array[], { expectedLength }: AppendOptions): Promise<number> {
    check.name("log", name);
    check.entries(name, entries);
    if (expectedLength !== undefined) check.number("expectedLength", expectedLength);
    const bytes = entries.reduce((sum, { byteLength }) => sum + 4 + byteLength, 0);
    this.#checkRoom(name, bytes);
    const queuedBytes = bytes + overheadBytes;
    this.#queuedBytes += queuedBytes;
    try {
      return await this.#writer(name).append(entries, bytes, expectedLength);
    } finally {
      this.#queuedBytes -= queuedBytes;
    }
  }

  async *read(name: string, from: number, options: ReadOptions): AsyncGenerator<Uint8Array, void, undefined> {
    check.name("log", name);
    check.number("from", from);
    const { follow = false, signal } = options;
    signal?.throwIfAborted();
    const view = this.#enter(name, follow);
    try {
      await outcome(view.refresh(), signal);
      const end = follow ? Number.POSITIVE_INFINITY : view.length;
      let position: Position = { number: from };
      while (position.number < end) {
        signal?.throwIfAborted();
        if (position.number < view.first) throw trimmed(name, { from: position.number, first: view.first });
        if (position.number >= view.length) await view.changed(position.number, signal);
        else {
          for (const chunk of await outcome(view.chunks(position), signal)) {
            position = yield* entriesOf(chunk, position, { view, end, signal });
          }
        }
      }
    } finally {
      this.#leave(view, follow);
    }
  }

  async trim(name: string, before: number): Promise<void> {
    check.name("log", name);
    check.number("before", before);
    await this.#writer(name).trim(before);
  }

  async list(prefix: string, { after = "", limit = storeBounds.logsPage }: LogsOptions): Promise<LogInfo[]> {
    check.prefix(prefix);
    check.limit(limit);
    if (this.#link.closed) throw storeClosed();
    const names = await listLogNames(this.#link, this.#layout, prefix);
    const infos: LogInfo[] = [];
    const attempt = { what: "the list of logs", untilMs: performance.now() + natsBounds.retryMs };
    for (let index = firstAfter(names, after); index < names.length && infos.length < limit; ) {
      const some = names.slice(index, index + Math.min(natsBounds.questionsAtOnce, limit - infos.length));
      const ends = await Promise.all(some.map((name) => readLogEnd(this.#link, this.#place(name), attempt)));
      ends.forEach(({ length, lastAppendMs }, each) => {
        // None has been appended when a large first append was left behind in the middle.
        if (length > 0) infos.push({ name: some[each] ?? "", length, lastAppendMs });
      });
      index += some.length;
    }
    return infos;
  }

  /** Ends all who wait, after the link has been closed. */
  close(): void {
    clearInterval(this.#recheck);
    for (const view of this.#views.values()) view.wake();
  }

  #checkRoom(name: string, bytes: number): void {
    const { maxAppendBytes, maxQueuedBytes } = natsBounds;
    if (bytes > maxAppendBytes) {
      const description = `an append has ${bytes} bytes with the lengths of its entries; ${maxAppendBytes} is the most`;
      throw resourceExhausted({ subject: name, description });
    }
    if (this.#queuedBytes + bytes <= maxQueuedBytes) return;
    const description = `appends of ${this.#queuedBytes} bytes are waiting for NATS; ${maxQueuedBytes} is the most`;
    throw resourceExhausted({ subject: name, description, retryMs: 1_000 });
  }

  #place(name: string): LogPlace {
    return { ...this.#layout.log(name), name };
  }

  #writer(name: string): LogWriter {
    if (this.#link.closed) throw storeClosed();
    const known = this.#writers.get(name);
    const writer = known ?? this.#createWriter(name);
    if (known !== undefined) this.#writers.delete(name);
    this.#writers.set(name, writer);
    if (this.#writers.size > natsBounds.maxKnownEnds) {
      for (const [each, { idle }] of this.#writers) {
        if (!idle) continue;
        this.#writers.delete(each);
        break;
      }
    }
    return writer;
  }

  #createWriter(name: string): LogWriter {
    return new LogWriter(this.#link, this.#place(name), ({ end, number, entries }) => {
      const view = this.#views.get(name);
      if (view === undefined) return;
      const { seq, hash } = end;
      if (entries.length > 0 && view.followers > 0) this.#recent.add(name, { number, entries, seq, hash });
      view.advance(end);
    });
  }

  #enter(name: string, follow: boolean): LogView {
    if (this.#link.closed) throw storeClosed();
    const view = this.#views.get(name) ?? new LogView(this.#link, this.#place(name), this.#recent);
    this.#views.set(name, view);
    view.readers++;
    if (follow) view.followers++;
    if (view.followers > 0) view.hush ??= this.#link.listen(view.place.told, (stored) => view.hear(stored));
    return view;
  }

  #leave(view: LogView, follow: boolean): void {
    view.readers--;
    if (follow) view.followers--;
    if (view.followers === 0) {
      view.hush?.();
      view.hush = undefined;
    }
    if (view.readers === 0 && this.#views.get(view.place.name) === view) this.#views.delete(view.place.name);
  }

  /** Asks for the logs that are followed and of which nothing was heard for so long. */
  async #refresh(silentMs: number): Promise<void> {
    const heardMs = performance.now() - silentMs;
    const silent = [...this.#views.values()].filter((view) => view.followers > 0 && view.heardMs <= heardMs);
    for (let index = 0; index < silent.length; index += natsBounds.questionsAtOnce) {
      const some = silent.slice(index, index + natsBounds.questionsAtOnce);
      await Promise.allSettled(some.map((view) => view.refresh()));
    }
  }
}

/** The entries of a chunk from the position on, and the position after it. */
async function* entriesOf(
  chunk: Chunk,
  { number }: Position,
  { view, end, signal }: { view: LogView; end: number; signal: AbortSignal | undefined },
): AsyncGenerator<Uint8Array, Position, undefined> {
  const { entries, seq, hash } = chunk;
  let next = number;
  for (const entry of entries.slice(number - chunk.number)) {
    if (next < view.first) throw trimmed(view.place.name, { from: next, first: view.first });
    if (next === end) break;
    yield entry;
    next++;
    signal?.throwIfAborted();
  }
  return { number: next, after: { seq, hash } };
}

function firstAfter(names: readonly string[], after: string): number {
  const index = names.findIndex((name) => name > after);
  return index < 0 ? names.length : index;
}

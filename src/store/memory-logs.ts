import { resourceExhausted, storeBounds, waitFor } from "../core/index.ts";
import { check } from "./check.ts";
import { lengthConflict, trimmed } from "./errors.ts";
import type { MemoryBudget } from "./memory-budget.ts";
import type { AppendOptions, LogInfo, LogsOptions, ReadOptions } from "./store.ts";

interface Log {
  /** The entries that are kept; the first of them has the number {@link first}. */
  readonly entries: Uint8Array[];
  first: number;
  lastAppendMs: number;
}

/** The logs of a store in this process. */
export class MemoryLogs {
  readonly #budget: MemoryBudget;
  readonly #maxLogs: number;
  readonly #logs = new Map<string, Log>();
  /** Logs of which nothing is kept, the longest emptied first: they make room when names run out. */
  readonly #emptied = new Set<string>();
  /** What wakes the readers at the end of a log, also of one that is not there yet. */
  readonly #waiting = new Map<string, Set<() => void>>();
  /** The names in order, made when somebody asks after a log has come or gone. */
  #names: string[] | undefined;

  constructor(budget: MemoryBudget, maxLogs: number) {
    this.#budget = budget;
    this.#maxLogs = maxLogs;
  }

  append(name: string, entries: readonly Uint8Array[], { expectedLength }: AppendOptions): number {
    check.name("log", name);
    check.entries(name, entries);
    if (expectedLength !== undefined) check.number("expectedLength", expectedLength);
    const known = this.#logs.get(name);
    const actual = lengthOf(known);
    if (expectedLength !== undefined && expectedLength !== actual) {
      throw lengthConflict(name, { expected: expectedLength, actual });
    }
    if (entries.length === 0) return actual;
    if (known === undefined) this.#makeRoom(name);
    this.#budget.take(entries);
    const log = known ?? this.#begin(name);
    for (const entry of entries) log.entries.push(entry);
    log.lastAppendMs = Date.now();
    this.#emptied.delete(name);
    for (const wake of [...(this.#waiting.get(name) ?? [])]) wake();
    return lengthOf(log);
  }

  async *read(
    name: string,
    from: number,
    { follow = false, signal }: ReadOptions,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    check.name("log", name);
    check.number("from", from);
    for (let number = from; ; ) {
      signal?.throwIfAborted();
      const log = this.#logs.get(name);
      const first = log?.first ?? 0;
      if (number < first) throw trimmed(name, { from: number, first });
      const entry = log?.entries[number - first];
      if (entry !== undefined) {
        yield entry;
        number++;
      } else if (!follow) return;
      else await this.#changed(name, signal);
    }
  }

  trim(name: string, before: number): void {
    check.name("log", name);
    check.number("before", before);
    const log = this.#logs.get(name);
    if (log === undefined || before <= log.first) return;
    const gone = log.entries.splice(0, before - log.first);
    log.first += gone.length;
    this.#budget.give(gone);
    if (log.entries.length === 0) this.#emptied.add(name);
  }

  list(prefix: string, { after = "", limit = storeBounds.logsPage }: LogsOptions): LogInfo[] {
    check.prefix(prefix);
    check.limit(limit);
    this.#names ??= [...this.#logs.keys()].sort();
    const infos: LogInfo[] = [];
    const start = after < prefix ? firstAtOrAfter(this.#names, prefix) : firstAtOrAfter(this.#names, `${after}\0`);
    for (let index = start; index < this.#names.length && infos.length < limit; index++) {
      const name = this.#names[index] ?? "";
      if (!name.startsWith(prefix)) break;
      const log = this.#logs.get(name);
      infos.push({ name, length: lengthOf(log), lastAppendMs: log?.lastAppendMs ?? 0 });
    }
    return infos;
  }

  #begin(name: string): Log {
    const log: Log = { entries: [], first: 0, lastAppendMs: 0 };
    this.#logs.set(name, log);
    this.#names = undefined;
    return log;
  }

  #makeRoom(name: string): void {
    if (this.#logs.size < this.#maxLogs) return;
    for (const emptied of this.#emptied) {
      if (this.#waiting.has(emptied)) continue; // its readers count on its numbers
      this.#emptied.delete(emptied);
      this.#logs.delete(emptied);
      this.#names = undefined;
      return;
    }
    throw resourceExhausted({ subject: name, description: `the store has its ${this.#maxLogs} logs, the most allowed` });
  }

  #changed(name: string, signal: AbortSignal | undefined): Promise<void> {
    return waitFor(signal, (wake) => {
      const waiting = this.#waiting.get(name) ?? new Set();
      this.#waiting.set(name, waiting.add(wake));
      return () => {
        waiting.delete(wake);
        if (waiting.size === 0 && this.#waiting.get(name) === waiting) this.#waiting.delete(name);
      };
    });
  }
}

function lengthOf(log: Log | undefined): number {
  return log === undefined ? 0 : log.first + log.entries.length;
}

/** The index of the first name that is not below `least`; binary search. */
function firstAtOrAfter(names: readonly string[], least: string): number {
  let [low, high] = [0, names.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((names[middle] ?? "") < least) low = middle + 1;
    else high = middle;
  }
  return low;
}

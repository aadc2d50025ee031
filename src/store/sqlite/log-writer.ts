import { entryChecksum, type LogRow, logSeed, rowChecksum } from "./checksum.ts";
import type { Result } from "./failure.ts";
import { logColumns, type StoredLog, verified } from "./log-row.ts";
import type { Connection } from "./schema.ts";

/** A log while its row is kept in mind. */
type Log = { -readonly [Field in keyof LogRow]: LogRow[Field] } & { readonly seed: number };

/** Bounds of a {@link LogWriter}. */
export interface LogWriterBounds {
  readonly maxEmptiedLogs: number;
  readonly maxKnownLogs: number;
}

/** How much one step of deleting takes away: a few milliseconds, in which appends wait. */
const sliceEntries = 500;
const sliceBytes = 1024 * 1024;

/** Logs, inside of the writing thread's transactions. Rows of logs are written once a transaction, by {@link flush}. */
export class LogWriter {
  readonly #bounds: LogWriterBounds;
  readonly #statements;
  readonly #known = new Map<string, Log>();
  readonly #touched = new Set<Log>();

  constructor(connection: Connection, bounds: LogWriterBounds) {
    this.#bounds = bounds;
    this.#statements = prepareStatements(connection);
  }

  append(name: string, expectedLength: number, entries: readonly Uint8Array[]): Result {
    const known = this.#find(name);
    const actual = known?.length ?? 0;
    if (expectedLength !== -1 && expectedLength !== actual) return { case: "length", actual };
    if (entries.length === 0) return actual;
    const log = known ?? this.#begin(name);
    for (const data of entries) {
      this.#statements.insertEntry.run(log.id, log.length, entryChecksum(log.seed, log.length, data), data);
      log.length++;
    }
    log.lastAppendMs = Date.now();
    log.emptied = null;
    this.#touched.add(log);
    return log.length;
  }

  trim(name: string, before: number): Result {
    const log = this.#find(name);
    if (log === undefined || before <= log.first) return 0;
    const first = Math.min(before, log.length);
    if (first === log.first) return 0;
    log.first = first;
    this.#touched.add(log);
    this.#statements.beginTrim.run(log.id, first);
    if (first === log.length) this.#empty(log);
    return 0;
  }

  /** Deletes some of what has been trimmed. False when there was nothing. */
  deleteSome(): boolean {
    const trim = this.#statements.anyTrim.get();
    if (trim === undefined) return false;
    let [end, bytes] = [-1, 0];
    for (const { number, size } of this.#statements.trimmed.all(trim.log, trim.before, sliceEntries)) {
      end = number + 1;
      bytes += size;
      if (bytes >= sliceBytes) break;
    }
    if (end === -1) this.#statements.endTrim.run(trim.log);
    else this.#statements.deleteEntries.run(trim.log, end);
    return true;
  }

  /** Leaves what is next to be deleted where it is, out of every reader's sight: the tree around it is damaged. */
  leaveSome(): boolean {
    const trim = this.#statements.anyTrim.get();
    if (trim !== undefined) this.#statements.endTrim.run(trim.log);
    return trim !== undefined;
  }

  /** Writes what the transaction has changed in rows of logs. */
  flush(): void {
    for (const log of this.#touched) {
      const { id, first, length, lastAppendMs, emptied } = log;
      this.#statements.updateLog.run(first, length, lastAppendMs, emptied, rowChecksum(log), id);
    }
    this.#touched.clear();
    if (this.#known.size > this.#bounds.maxKnownLogs) this.#known.clear();
  }

  /** The file may hold something else than what is remembered. */
  forget(): void {
    this.#known.clear();
    this.#touched.clear();
  }

  #find(name: string): Log | undefined {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const row = this.#statements.findLog.get(name);
    if (row === undefined) return undefined;
    const log = { ...verified(row), seed: logSeed(row.id, name) };
    this.#known.set(name, log);
    return log;
  }

  #begin(name: string): Log {
    const id = Number(this.#statements.insertLog.run(name).lastInsertRowid);
    const log: Log = { id, name, first: 0, length: 0, lastAppendMs: 0, emptied: null, seed: logSeed(id, name) };
    this.#known.set(name, log);
    return log;
  }

  #empty(log: Log): void {
    this.flush(); // what was appended to again is among the emptied no more
    log.emptied = (this.#statements.lastEmptied.get() ?? 0) + 1;
    this.#touched.add(log);
    for (const name of this.#statements.forgetEmptied.all(log.emptied - this.#bounds.maxEmptiedLogs)) this.#known.delete(name);
  }
}

function prepareStatements(connection: Connection) {
  return {
    findLog: connection.prepare<[string], StoredLog>(`SELECT ${logColumns} FROM logs WHERE name = ?`),
    insertLog: connection.prepare<[string]>(
      "INSERT INTO logs (name, first, length, last_append_ms, checksum) VALUES (?, 0, 0, 0, 0)",
    ),
    updateLog: connection.prepare<[number, number, number, number | null, number, number]>(
      "UPDATE logs SET first = ?, length = ?, last_append_ms = ?, emptied = ?, checksum = ? WHERE id = ?",
    ),
    insertEntry: connection.prepare<[number, number, number, Uint8Array]>("INSERT INTO entries VALUES (?, ?, ?, ?)"),
    lastEmptied: connection.prepare<[], number>("SELECT max(emptied) FROM logs WHERE emptied IS NOT NULL").pluck(),
    forgetEmptied: connection.prepare<[number], string>("DELETE FROM logs WHERE emptied <= ? RETURNING name").pluck(),
    beginTrim: connection.prepare<[number, number]>(
      "INSERT INTO trims VALUES (?, ?) ON CONFLICT (log) DO UPDATE SET before = excluded.before",
    ),
    anyTrim: connection.prepare<[], { log: number; before: number }>("SELECT log, before FROM trims LIMIT 1"),
    trimmed: connection.prepare<[number, number, number], { number: number; size: number }>(
      "SELECT number, length(data) AS size FROM entries WHERE log = ? AND number < ? ORDER BY number LIMIT ?",
    ),
    deleteEntries: connection.prepare<[number, number]>("DELETE FROM entries WHERE log = ? AND number < ?"),
    endTrim: connection.prepare<[number]>("DELETE FROM trims WHERE log = ?"),
  };
}

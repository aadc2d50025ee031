import { entryChecksum, type LogRow, logSeed, rowChecksum } from "./checksum.ts";
import { failureOf, type Result } from "./failure.ts";
import { logColumns, type StoredLog, verified } from "./log-row.ts";
import type { Connection } from "./schema.ts";

/** A log while its row is kept in mind. */
type Log = { -readonly [Field in keyof LogRow]: LogRow[Field] } & { readonly seed: number };

/** Bounds of a {@link LogWriter}. */
export interface LogWriterBounds {
  readonly maxEmptiedLogs: number;
  readonly maxKnownLogs: number;
}

/** An entry up to this size goes to `recent` first, where forty of them share a page. */
const recentBytes = 512;
/** So many move on together: more would spread over pages of their own, fewer would each take a page of `entries` along. */
const maxRecent = 2_000;
/** A transaction of more entries saves nothing by putting them there. */
const maxRecentAtOnce = 500;

/** How much one step of deleting takes away: a few milliseconds, in which appends wait. The next step follows. */
const sliceEntries = 500;
const sliceBytes = 1024 * 1024;

/** Logs, inside of the writing thread's transactions. Rows of logs are written once a transaction, by {@link flush}. */
export class LogWriter {
  readonly #bounds: LogWriterBounds;
  readonly #statements;
  readonly #known = new Map<string, Log>();
  readonly #touched = new Set<Log>();
  /** Entries in `recent`, or more than there are: others may have moved them. */
  #recent: number;
  /** False once damage was met in `recent`: what is in it stays there, and nothing follows. */
  #usesRecent = true;
  #isSmall = true;

  constructor(connection: Connection, bounds: LogWriterBounds) {
    this.#bounds = bounds;
    this.#statements = prepareStatements(connection);
    this.#recent = this.#countRecent();
  }

  append(name: string, expectedLength: number, entries: readonly Uint8Array[]): Result {
    const known = this.#find(name);
    const actual = known?.length ?? 0;
    if (expectedLength !== -1 && expectedLength !== actual) return { case: "length", actual };
    if (entries.length === 0) return actual;
    const log = known ?? this.#begin(name);
    for (const data of entries) {
      const isRecent = this.#usesRecent && this.#isSmall && data.byteLength <= recentBytes;
      if (isRecent) this.#recent++;
      const insert = isRecent ? this.#statements.insertRecent : this.#statements.insertEntry;
      insert.run(log.id, log.length, entryChecksum(log.seed, log.length, data), data);
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

  /** How many entries the next transaction brings, about. */
  expect(entries: number): void {
    this.#isSmall = entries <= maxRecentAtOnce;
  }

  get hasManyRecent(): boolean {
    return this.#usesRecent && this.#recent >= maxRecent;
  }

  /** Moves all of `recent` to `entries`. */
  moveRecent(): void {
    this.#statements.moveRecent.run();
    this.#statements.clearRecent.run();
    this.#recent = 0;
  }

  /** Leaves `recent` alone from now on. False when it already was. */
  leaveRecent(): boolean {
    const used = this.#usesRecent;
    this.#usesRecent = false;
    return used;
  }

  /** Deletes some of what has been trimmed. False when there was nothing. */
  deleteSome(): boolean {
    const trim = this.#statements.anyTrim.get();
    if (trim === undefined) return false;
    let [end, bytes] = [-1, 0];
    for (const { number, size } of this.#statements.trimmed.all({ ...trim, limit: sliceEntries })) {
      end = number + 1;
      bytes += size;
      if (bytes >= sliceBytes) break;
    }
    if (end === -1) this.#statements.endTrim.run(trim.log);
    else {
      this.#statements.deleteEntries.run(trim.log, end);
      this.#statements.deleteRecent.run(trim.log, end);
    }
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

  #countRecent(): number {
    try {
      return this.#statements.countRecent.get() ?? 0;
    } catch (thrown) {
      if (failureOf(thrown).case !== "damaged") throw thrown;
      this.#usesRecent = false;
      return 0;
    }
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
    const names = this.#statements.forgetEmptied.all(log.emptied - this.#bounds.maxEmptiedLogs, sliceEntries);
    for (const name of names) this.#known.delete(name);
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
    insertRecent: connection.prepare<[number, number, number, Uint8Array]>("INSERT INTO recent VALUES (?, ?, ?, ?)"),
    countRecent: connection.prepare<[], number>("SELECT count(*) FROM recent").pluck(),
    moveRecent: connection.prepare<[]>("INSERT INTO entries SELECT * FROM recent ORDER BY log, number"),
    clearRecent: connection.prepare<[]>("DELETE FROM recent"),
    lastEmptied: connection.prepare<[], number>("SELECT max(emptied) FROM logs WHERE emptied IS NOT NULL").pluck(),
    forgetEmptied: connection
      .prepare<[number, number], string>(
        "DELETE FROM logs WHERE id IN (SELECT id FROM logs WHERE emptied <= ? ORDER BY emptied LIMIT ?) RETURNING name",
      )
      .pluck(),
    beginTrim: connection.prepare<[number, number]>(
      "INSERT INTO trims VALUES (?, ?) ON CONFLICT (log) DO UPDATE SET before = excluded.before",
    ),
    anyTrim: connection.prepare<[], { log: number; before: number }>("SELECT log, before FROM trims LIMIT 1"),
    trimmed: connection.prepare<[{ log: number; before: number; limit: number }], { number: number; size: number }>(
      `SELECT number, length(data) AS size FROM entries WHERE log = @log AND number < @before
       UNION ALL SELECT number, length(data) AS size FROM recent WHERE log = @log AND number < @before ORDER BY number LIMIT @limit`,
    ),
    deleteEntries: connection.prepare<[number, number]>("DELETE FROM entries WHERE log = ? AND number < ?"),
    deleteRecent: connection.prepare<[number, number]>("DELETE FROM recent WHERE log = ? AND number < ?"),
    endTrim: connection.prepare<[number]>("DELETE FROM trims WHERE log = ?"),
  };
}

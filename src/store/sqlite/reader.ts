import { ConnectError } from "@connectrpc/connect";
import type { Statement } from "better-sqlite3";
import { sqliteBounds } from "../../core/index.ts";
import { trimmed } from "../errors.ts";
import type { LogInfo } from "../store.ts";
import { entryChecksum, type LogRow, logSeed } from "./checksum.ts";
import { forgotten, storeError } from "./errors.ts";
import { Failed, failureOf } from "./failure.ts";
import { logColumns, type StoredLog, verified } from "./log-row.ts";
import type { Connection } from "./schema.ts";

/** A piece of a log. */
export interface Page {
  /** Which log had the name. Undefined: none. */
  readonly id: number | undefined;
  /** What there is from the asked number on, as much as is read at once; none at the end of the log. */
  readonly entries: readonly Uint8Array[];
  /** As much as is read at once: there may be more. */
  readonly isFull: boolean;
  /** Where the log ends. */
  readonly isEnd: boolean;
}

/** A lease as it lies in the file; it has ended when `endMs` is null. */
export interface LeaseRow {
  readonly key: string;
  readonly revision: number;
  /** The number of its last change. */
  readonly change: number;
  readonly endMs: number | null;
  readonly value: Uint8Array;
}

interface StoredEntry {
  readonly number: number;
  readonly checksum: number;
  readonly data: Uint8Array;
}

interface EntriesRange {
  readonly id: number;
  readonly from: number;
  readonly end: number;
}

type EntriesStatement = Statement<[EntriesRange], StoredEntry>;

interface Collected extends Omit<Page, "id" | "isEnd"> {
  /** Why there are no more, though there should be. */
  readonly damage?: string;
  /** SQLite has found it. */
  readonly isTorn?: boolean;
}

/** Reads the file, synchronously and in small pieces: no snapshot of the file outlives a call, so none holds the WAL. */
export class Reader {
  readonly #connection: Connection;
  readonly #statements;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#statements = prepareStatements(connection);
  }

  /**
   * The next entries of a log.
   *
   * @param id of the log that had the name when the reading began.
   * @throws ConnectError OUT_OF_RANGE when entry `from` has been trimmed, or its log forgotten; DATA_LOSS when it is not as it was written.
   */
  page(name: string, from: number, id?: number): Page {
    return this.#inSnapshot(name, () => {
      const row = this.#find(name);
      if (id !== undefined && row?.id !== id) throw forgotten(name, from);
      if (row !== undefined && from < row.first) throw trimmed(name, { from, first: row.first });
      return { id: row?.id, ...(row === undefined ? { entries: [], isFull: false, isEnd: true } : this.#entries(row, from)) };
    });
  }

  /** The first number that is kept of a log; 0 when it is not there. */
  first(name: string): number {
    return this.#inSnapshot(name, () => this.#find(name)?.first ?? 0);
  }

  length(name: string): number {
    return this.#inSnapshot(name, () => this.#find(name)?.length ?? 0);
  }

  list(prefix: string, after: string, limit: number): LogInfo[] {
    return this.#inSnapshot(prefix, () => {
      const least = after < prefix ? prefix : `${after}\0`;
      return this.#statements.logs.all(least, endOf(prefix), limit).map((row) => {
        const { name, length, lastAppendMs } = this.#verified(row, row.name);
        return { name, length, lastAppendMs };
      });
    });
  }

  /** How many changes of leases there have been. */
  lastChange(): number {
    return this.#inSnapshot("leases", () => this.#statements.lastChange.get() ?? 0);
  }

  /** The latest changes of leases after change `after`, in their order: one page. */
  leasesChanged(after: number): readonly LeaseRow[] {
    return this.#inSnapshot("leases", () => this.#statements.leasesChanged.all(after, sqliteBounds.pageLeases));
  }

  /** The leases that have not ended, after a key: one page. */
  leases(prefix: string, after: string): readonly LeaseRow[] {
    const least = after < prefix ? prefix : `${after}\0`;
    return this.#inSnapshot(prefix, () => this.#statements.leases.all(least, endOf(prefix), sqliteBounds.pageLeases));
  }

  /** Lets several reads see the same state of the file. */
  together<T>(read: () => T): T {
    this.#statements.begin.run();
    try {
      return read();
    } finally {
      this.#endSnapshot();
    }
  }

  close(): void {
    this.#connection.close();
  }

  #endSnapshot(): void {
    try {
      this.#statements.commit.run();
    } catch (thrown) {
      failureOf(thrown); // once a statement has met damage its error comes back here; nothing was written that could be lost
      if (this.#connection.inTransaction) this.#statements.rollback.run();
    }
  }

  /** What is whole before damage is given first: the next page begins with the damage. */
  #entries(log: LogRow, from: number): Omit<Page, "id"> {
    let read = this.#collect(this.#statements.entries, log, from);
    // The table of recent entries is shared: when it is damaged, a log that has none there can still be read.
    if (read.isTorn && read.entries.length === 0) read = this.#collect(this.#statements.settledEntries, log, from);
    if (read.damage === undefined || read.entries.length > 0) {
      return { ...read, isEnd: read.damage === undefined && from + read.entries.length >= log.length };
    }
    throw new Failed({ case: "damaged", why: read.damage, entry: from });
  }

  #collect(statement: EntriesStatement, { id, name, length }: LogRow, from: number): Collected {
    const seed = logSeed(id, name);
    const entries: Uint8Array[] = [];
    let [bytes, isFull] = [0, false];
    const end = Math.min(length, from + sqliteBounds.pageEntries);
    try {
      for (const { number, checksum, data } of statement.iterate({ id, from, end })) {
        if (number !== from + entries.length) break;
        const isWhole = ArrayBuffer.isView(data) && entryChecksum(seed, number, data) === checksum; // a flipped bit can make it a text or a number
        if (!isWhole) return { entries, isFull, damage: "it does not fit its checksum" };
        entries.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
        bytes += data.byteLength;
        isFull = bytes >= sqliteBounds.pageBytes || entries.length === sqliteBounds.pageEntries;
        if (isFull) return { entries, isFull };
      }
    } catch (thrown) {
      const failure = failureOf(thrown);
      if (failure.case !== "damaged") throw thrown;
      return { entries, isFull, damage: failure.why, isTorn: true };
    }
    return { entries, isFull, ...(from + entries.length < end && { damage: "it is not there" }) };
  }

  #find(name: string): LogRow | undefined {
    const row = this.#statements.findLog.get(name);
    return row === undefined ? undefined : this.#verified(row, name);
  }

  #verified(row: StoredLog, name: string): LogRow {
    try {
      return verified(row);
    } catch (thrown) {
      throw storeError(failureOf(thrown), name);
    }
  }

  #inSnapshot<T>(name: string, read: () => T): T {
    try {
      return this.#connection.inTransaction ? read() : this.together(read);
    } catch (thrown) {
      throw thrown instanceof ConnectError ? thrown : storeError(failureOf(thrown), name);
    }
  }
}

/** What all names with a prefix are below; names are below 0x7f. */
function endOf(prefix: string): string {
  return `${prefix}\x7f`;
}

function prepareStatements(connection: Connection) {
  const entriesOf = (table: string) =>
    `SELECT number, checksum, data FROM ${table} WHERE log = @id AND number >= @from AND number < @end`;
  const leaseColumns = "key, revision, change, end_ms AS endMs, value";
  return {
    begin: connection.prepare<[]>("BEGIN"),
    commit: connection.prepare<[]>("COMMIT"),
    rollback: connection.prepare<[]>("ROLLBACK"),
    findLog: connection.prepare<[string], StoredLog>(`SELECT ${logColumns} FROM logs WHERE name = ?`),
    entries: connection.prepare<[EntriesRange], StoredEntry>(
      `${entriesOf("entries")} UNION ALL ${entriesOf("recent")} ORDER BY number`,
    ),
    settledEntries: connection.prepare<[EntriesRange], StoredEntry>(`${entriesOf("entries")} ORDER BY number`),
    logs: connection.prepare<[string, string, number], StoredLog>(
      `SELECT ${logColumns} FROM logs WHERE name >= ? AND name < ? ORDER BY name LIMIT ?`,
    ),
    lastChange: connection.prepare<[], number>("SELECT change FROM counters").pluck(),
    leasesChanged: connection.prepare<[number, number], LeaseRow>(
      `SELECT ${leaseColumns} FROM leases WHERE change > ? ORDER BY change LIMIT ?`,
    ),
    leases: connection.prepare<[string, string, number], LeaseRow>(
      `SELECT ${leaseColumns} FROM leases WHERE key >= ? AND key < ? AND end_ms IS NOT NULL ORDER BY key LIMIT ?`,
    ),
  };
}

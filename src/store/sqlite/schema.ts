import { randomUUID } from "node:crypto";
import { closeSync, existsSync, linkSync, mkdirSync, openSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import Database from "better-sqlite3";
import { Failed, type FileFailure, failureOf } from "./failure.ts";
import { whenFree } from "./when-free.ts";

export type Connection = Database.Database;

/** "Cnvk": what `file` and other programs tell a store by (https://sqlite.org/fileformat2.html, section 1.3.16). */
const applicationId = 0x436e_766b;

/** Before it, a WAL that two connections reset at once could damage the file (https://sqlite.org/wal.html, section 11). */
const leastVersion = [3, 51, 3];

/**
 * What makes a file of version `index + 1` out of one of version `index`. What stands here has been written to disks: it is never changed.
 *
 * - `entries` without rowid: found by log and number in one tree, and a log's entries lie next to each other.
 * - `recent`: the same, for entries that are young and small, until they are moved to `entries` many at once. A hundred logs that each get
 *   one token touch a hundred pages of the one, all of which would go to the WAL, and a few of the other.
 * - `logs.emptied`, `leases.change`: rising numbers, so that the oldest to be forgotten are found by index and need no count.
 * - `trims`: entries that are gone for readers and still to be deleted, piece by piece.
 * - `leases`: a lease that has ended stays for a while without `end_ms`, so that every process hears of its end.
 * - `leases.holder`: of those that end with a process, its presence.
 */
const migrations: readonly string[] = [
  `
  CREATE TABLE logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    first INTEGER NOT NULL,
    length INTEGER NOT NULL,
    last_append_ms INTEGER NOT NULL,
    emptied INTEGER,
    checksum INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX logs_by_emptied ON logs (emptied) WHERE emptied IS NOT NULL;
  CREATE TABLE entries (
    log INTEGER NOT NULL,
    number INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (log, number)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE recent (
    log INTEGER NOT NULL,
    number INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (log, number)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE trims (log INTEGER PRIMARY KEY, before INTEGER NOT NULL) STRICT;
  CREATE TABLE leases (
    key TEXT PRIMARY KEY NOT NULL,
    revision INTEGER NOT NULL,
    change INTEGER NOT NULL UNIQUE,
    ttl_ms INTEGER NOT NULL,
    end_ms INTEGER,
    value BLOB NOT NULL
  ) STRICT;
  CREATE INDEX leases_by_end ON leases (end_ms) WHERE end_ms IS NOT NULL;
  CREATE INDEX leases_ended ON leases (change) WHERE end_ms IS NULL;
  CREATE TABLE counters (change INTEGER NOT NULL) STRICT;
  INSERT INTO counters VALUES (0);
  `,
  `
  ALTER TABLE leases ADD COLUMN holder TEXT;
  CREATE INDEX leases_by_holder ON leases (holder) WHERE holder IS NOT NULL;
  `,
];

/**
 * Opens the file for writing, makes it and its folder when they are missing, and brings it to this version.
 *
 * @throws Failed when the file is of a newer version, or no store.
 */
export function openForWriting(path: string, busyTimeoutMs: number): Connection {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    if (!existsSync(path)) makeFile(path);
  } catch (thrown) {
    throw new Failed({ case: "unfit", why: `"${path}" cannot be opened: ${messageOf(thrown)}` });
  }
  let connection: Connection | undefined;
  try {
    connection = new Database(path, { timeout: busyTimeoutMs });
    checkLibrary(connection);
    prepare(connection, path, busyTimeoutMs);
    return connection;
  } catch (thrown) {
    connection?.close();
    throw new Failed(openingFailure(thrown, path));
  }
}

/**
 * Makes an empty file for its owner alone; `-wal` and `-shm` get its mode. It never closes the file at its name: that would take away
 * the locks that others of this process have on it (https://sqlite.org/howtocorrupt.html, section 2.2).
 */
function makeFile(path: string): void {
  const made = `${path}-${randomUUID()}`;
  closeSync(openSync(made, "wx", 0o600));
  try {
    linkSync(made, path);
  } catch (thrown) {
    if (!existsSync(path)) throw thrown; // another was faster, which is as well
  } finally {
    unlinkSync(made);
  }
}

/** Opens a file that is there, as it is. */
export function openFile(path: string, options: { readonly readonly?: boolean; readonly timeout: number }): Connection {
  return new Database(path, { ...options, fileMustExist: true });
}

function prepare(connection: Connection, path: string, busyTimeoutMs: number): void {
  connection.pragma("cell_size_check = ON"); // damage in a page is found when it is read
  const version = versionOf(connection, path);
  whenFree(busyTimeoutMs, () => connection.pragma("journal_mode = WAL")); // while another process does the same, SQLite does not wait
  connection.pragma("synchronous = FULL");
  connection.pragma("journal_size_limit = 16777216");
  connection.pragma("wal_autocheckpoint = 0"); // the writer has its own way
  if (version < migrations.length) migrate(connection, path);
}

function migrate(connection: Connection, path: string): void {
  connection
    .transaction(() => {
      const version = versionOf(connection, path); // another process may have been here first
      for (const migration of migrations.slice(version)) connection.exec(migration);
      connection.pragma(`application_id = ${applicationId}`);
      connection.pragma(`user_version = ${migrations.length}`);
    })
    .immediate();
}

/** The version of a store's file; 0 when there is nothing in it. */
function versionOf(connection: Connection, path: string): number {
  const read = () => ({
    version: Number(connection.pragma("user_version", { simple: true })),
    id: Number(connection.pragma("application_id", { simple: true })),
    tables: Number(connection.prepare("SELECT count(*) FROM sqlite_schema").pluck().get()),
  });
  const { version, id, tables } = connection.transaction(read)(); // of one state: another process may just make the file a store
  if (id === 0 && version === 0 && tables === 0) return 0;
  if (id !== applicationId) throw new Failed({ case: "unfit", why: `"${path}" is an SQLite file, but no Convoke store` });
  if (version <= migrations.length) return version;
  const why = `"${path}" is a store of version ${version}, and this Convoke knows versions up to ${migrations.length}`;
  throw new Failed({ case: "unfit", why });
}

function checkLibrary(connection: Connection): void {
  const version = String(connection.prepare("SELECT sqlite_version()").pluck().get());
  const numbers = version.split(".").map(Number);
  const index = leastVersion.findIndex((least, at) => (numbers[at] ?? 0) !== least);
  if (index === -1 || (numbers[index] ?? 0) > (leastVersion[index] ?? 0)) return;
  const why = `SQLite ${version} can damage files that several connections write; ${leastVersion.join(".")} is the least`;
  throw new Failed({ case: "unfit", why });
}

function openingFailure(thrown: unknown, path: string): FileFailure {
  const failure = failureOf(thrown);
  if (failure.case === "damaged" && /SQLITE_NOTADB/.test(failure.why)) {
    return { case: "unfit", why: `"${path}" is no SQLite file` };
  }
  return failure.case === "failed" ? { case: "unfit", why: `"${path}" cannot be opened: ${failure.why}` } : failure;
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

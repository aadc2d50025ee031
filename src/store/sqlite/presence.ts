import { randomUUID } from "node:crypto";
import { closeSync, openSync, readdirSync, renameSync, unlinkSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { Connection } from "./schema.ts";

/**
 * A sign of life for all that have the store's file open: a lock on a file beside it. The system ends it with the process, however that ends; what
 * only sleeps keeps it.
 */
export interface Presence {
  readonly name: string;
  /** Ends it while the process goes on. */
  close(): void;
}

/** Opens a file with SQLite, whose locks these are: an own open and close would take them from all of this process. */
export type OpenFile = (path: string, options: { readonly readonly?: boolean; readonly timeout: 0 }) => Connection;

/** Shows that this process lives. Undefined when the disk does not let it. */
export function bePresent(path: string, open: OpenFile): Presence | undefined {
  const name = randomUUID();
  const made = `${path}-${name}`;
  let connection: Connection | undefined;
  try {
    closeSync(openSync(made, "wx", 0o600));
    connection = open(made, { timeout: 0 });
    connection.pragma("journal_mode = MEMORY"); // nothing is ever written
    connection.exec("BEGIN EXCLUSIVE");
    renameSync(made, fileOf(path, name)); // locked before anybody looks for it
  } catch {
    connection?.close();
    remove(made);
    return undefined;
  }
  const held = connection;
  return {
    name,
    close() {
      remove(fileOf(path, name));
      held.close();
    },
  };
}

/** True when a process is certain to be gone: its lock is free. One whose file is missing may live. */
export function isGone(path: string, name: string, open: OpenFile): boolean {
  let connection: Connection | undefined;
  try {
    connection = open(fileOf(path, name), { readonly: true, timeout: 0 });
    connection.prepare("SELECT 1 FROM sqlite_schema").get();
    return true;
  } catch {
    return false;
  } finally {
    connection?.close();
  }
}

/** Those that have left a file, gone or not. */
export function presences(path: string): string[] {
  const prefix = fileOf(basename(path), "");
  return readdirSync(dirname(path)).flatMap((file) => (file.startsWith(prefix) ? [file.slice(prefix.length)] : []));
}

/** Takes away what one has left that is gone. */
export function forgetPresence(path: string, name: string): void {
  remove(fileOf(path, name));
}

function fileOf(path: string, name: string): string {
  return `${path}-alive-${name}`;
}

function remove(file: string): void {
  try {
    unlinkSync(file);
  } catch {
    // it is gone, or stays: it only takes up a name
  }
}

import { resolve } from "node:path";
import { sqliteBounds, storeBounds } from "../../core/index.ts";
import type { Store } from "../store.ts";
import { closedError, storeUnfit } from "./errors.ts";
import { failureOf } from "./failure.ts";
import { SqliteLeases } from "./leases.ts";
import { SqliteLogs, type StoreParts } from "./logs.ts";
import { bePresent, type OpenFile, type Presence } from "./presence.ts";
import { Reader } from "./reader.ts";
import { Writer } from "./writer.ts";

/** Where the file is, and bounds of a store in it. */
export interface SqliteStoreOptions {
  /**
   * The file; `-wal` and `-shm`, and an empty `-alive-…` for each process that runs tasks, lie beside it while it is open. What is missing is made: the folder for its owner alone (0700), and the
   * file too (0600). On a local disk: SQLite's WAL needs memory that processes share.
   */
  readonly path: string;
  /** How long changes wait while another process keeps the file, 0 to 60,000 milliseconds; then they are UNAVAILABLE. Default 5,000. */
  readonly busyTimeoutMs?: number;
  /** Appends and other changes that wait for the disk. One more is RESOURCE_EXHAUSTED. Default 100,000. */
  readonly maxWaitingOperations?: number;
  /** Bytes of them together, and so of one append. Beyond it is RESOURCE_EXHAUSTED. Default 64 MiB. */
  readonly maxWaitingBytes?: number;
  /** Names of logs that were trimmed to nothing, whose numbers go on; those emptied first are forgotten. Default 100,000. */
  readonly maxEmptiedLogs?: number;
}

/** A store that has something to close. */
export interface SqliteStore extends Store {
  /** Writes what was accepted, and ends. Calls after it, and readers and watchers that wait, are UNAVAILABLE. Closing again is nothing. */
  close(): Promise<void>;
}

const maxBusyTimeoutMs = 60_000;
/** Who waits is looked for this often, so that nobody looks for other processes' changes in vain. */
const waitersPeriodMs = 1_000;

/**
 * A store in a file: durable, for the processes of one machine, which may share it.
 *
 * What is acknowledged is on the disk (`synchronous=FULL`). A full disk is RESOURCE_EXHAUSTED until there is room; reads go on.
 * What is not as it was written is DATA_LOSS, which names the log and the entry; other logs stay readable.
 * Leases end by the wall clock: when it is set forward they end early by as much; when it is set back they last for their whole time from then.
 * Waiting readers, watchers and leases do not keep the process alive; what is accepted and not yet acknowledged does.
 *
 * @throws RangeError for wrong options; ConnectError FAILED_PRECONDITION when the file is no store, or one of a newer version,
 *   DATA_LOSS when it is damaged, UNAVAILABLE when another process keeps it for too long.
 */
export async function createSqliteStore(options: SqliteStoreOptions): Promise<SqliteStore> {
  const bounds = { ...sqliteBounds, ...options };
  checkOptions(bounds);
  const path = resolve(options.path);
  const { default: Database } = await import("better-sqlite3"); // whoever has no such store does not load it
  const writer = new Writer({ ...bounds, path, maxLeaseTtlMs: storeBounds.maxLeaseTtlMs }, bounds);
  await writer.open();
  try {
    const connection = new Database(path, { readonly: true, timeout: sqliteBounds.readBusyTimeoutMs });
    connection.pragma("cell_size_check = ON"); // damage in a page is found when it is read
    const open: OpenFile = (file, options) => new Database(file, { ...options, fileMustExist: true });
    return openStore(new Reader(connection), writer, () => bePresent(path, open));
  } catch (thrown) {
    await writer.close();
    throw storeUnfit(failureOf(thrown), path);
  }
}

function openStore(reader: Reader, writer: Writer, present: () => Presence | undefined): SqliteStore {
  let isClosed = false;
  let closing: Promise<void> | undefined;
  const checkOpen = () => {
    if (isClosed) throw closedError();
  };
  const others = lookForOthers(writer, () => logs.isFollowed || leases.isWatched);
  const parts: StoreParts = { reader, writer, checkOpen, onWait: others.begin };
  const [logs, leases] = [new SqliteLogs(parts), new SqliteLeases(parts, present)];
  writer.listen({
    done: (operations) => logs.written(operations),
    leasesChanged: () => leases.changed(),
    othersWrote() {
      logs.othersWrote();
      leases.changed();
    },
  });
  return {
    durability: "disk",
    append: async (log, entries, options = {}) => logs.append(log, entries, options),
    read: (log, from, options = {}) => logs.read(log, from, options),
    trim: (log, before) => logs.trim(log, before),
    logs: async (prefix, options = {}) => logs.list(prefix, options),
    lease: (key, value, term) => leases.lease(key, value, term),
    watch: (prefix, { signal }) => leases.watch(prefix, signal),
    close() {
      if (closing !== undefined) return closing;
      isClosed = true;
      others.end();
      leases.close(closedError());
      logs.close();
      reader.close(); // first: the last connection to close has to be one that can take the WAL away
      closing = writer.close();
      return closing;
    },
  };
}

/** Lets the writer look for what other processes write, while somebody waits for it. */
function lookForOthers(writer: Writer, isWaiting: () => boolean): { begin(): void; end(): void } {
  let timer: NodeJS.Timeout | undefined;
  const end = () => {
    clearInterval(timer);
    timer = undefined;
  };
  return {
    begin() {
      if (timer !== undefined) return;
      writer.follow(true);
      timer = setInterval(() => {
        if (isWaiting()) return;
        end();
        writer.follow(false);
      }, waitersPeriodMs).unref();
    },
    end,
  };
}

function checkOptions(options: Required<SqliteStoreOptions>): void {
  const { path } = options;
  if (path === "" || path.trim() !== path || path.includes("\0")) {
    throw new RangeError(`path is ${JSON.stringify(path)}; it must be the name of a file, without spaces around it`);
  }
  const ranges = {
    busyTimeoutMs: [0, maxBusyTimeoutMs],
    maxWaitingOperations: [1, Number.MAX_SAFE_INTEGER],
    maxWaitingBytes: [1, Number.MAX_SAFE_INTEGER],
    maxEmptiedLogs: [1, Number.MAX_SAFE_INTEGER],
  } as const;
  for (const [name, [least, most]] of Object.entries(ranges)) {
    const value = options[name as keyof typeof ranges]; // the names of the table
    if (Number.isSafeInteger(value) && value >= least && value <= most) continue;
    throw new RangeError(`${name} is ${value}; it must be a whole number from ${least} to ${most}`);
  }
}

import type { Operation } from "./batch.ts";
import { Failed, failureOf, type Result } from "./failure.ts";
import { LeaseWriter } from "./lease-writer.ts";
import { LogWriter } from "./log-writer.ts";
import type { WriterSettings } from "./messages.ts";
import { forgetPresence, isGone, presences } from "./presence.ts";
import { type Connection, openFile, openForWriting } from "./schema.ts";
import { whenFree } from "./when-free.ts";

/** Pages of the WAL, of 4 KiB, that are written back at once: more make the pause longer, fewer write busy pages more often. */
const checkpointPages = 1_000;
/** How long the emptying of the WAL waits for readers, and how long until the next attempt. */
const emptyingMs = 100;
const emptyingPauseMs = 1_000;

/** The file as the writing thread has it: what it is asked to do, in transactions. */
export class Transactions {
  readonly #connection: Connection;
  readonly #settings: WriterSettings;
  readonly #logs: LogWriter;
  readonly #leases: LeaseWriter;
  readonly #statements;
  #version: number;
  #othersWrote = false;
  #leasesChanged = false;
  #nextEmptyingMs = 0;

  /** @throws Failed when the file cannot be opened. */
  constructor(settings: WriterSettings) {
    this.#connection = openForWriting(settings.path, settings.busyTimeoutMs);
    this.#connection.pragma("busy_timeout = 0");
    this.#settings = settings;
    this.#logs = new LogWriter(this.#connection, settings);
    this.#leases = new LeaseWriter(this.#connection, settings);
    this.#statements = prepareStatements(this.#connection);
    this.#version = this.#statements.version.get() ?? 0;
  }

  /**
   * Does them in as few transactions as it can: in one, unless damage is met. Then it is tried without the table that all logs share, then
   * by halves, so that damage meets alone what it concerns. A full disk or a busy file concerns all.
   */
  commit(operations: readonly Operation[]): Result[] {
    try {
      this.#logs.expect(operations.reduce((count, { arrays }) => count + arrays.length, 0));
      return this.#transact(() => operations.map((operation) => this.#apply(operation)));
    } catch (thrown) {
      const failure = failureOf(thrown);
      if (failure.case === "damaged" && this.#logs.leaveRecent()) return this.commit(operations);
      if (failure.case !== "damaged" || operations.length === 1) return operations.map(() => failure);
      const middle = operations.length >> 1;
      return [...this.commit(operations.slice(0, middle)), ...this.commit(operations.slice(middle))];
    }
  }

  /** Ends leases whose time is over, and those of processes that are gone. False when more are left. */
  endDueLeases(): boolean {
    const { path } = this.#settings;
    const gone = this.#leases.holders().filter((holder) => isGone(path, holder, openFile)); // before the transaction, for which others wait
    return this.#transact(() => this.#leases.endDue(gone));
  }

  /** Takes away what processes have left beside the file that are gone, and their leases with them. */
  forgetGone(): void {
    const { path } = this.#settings;
    const holders = this.#leases.holders();
    for (const name of presences(path)) if (!holders.includes(name) && isGone(path, name, openFile)) forgetPresence(path, name);
  }

  nextLeaseEndMs(): number | undefined {
    return this.#leases.nextEndMs();
  }

  /** Moves recent entries to where they stay, when they have become many. What fails is left for the next time. */
  moveRecent(): void {
    if (!this.#logs.hasManyRecent) return;
    try {
      this.#transact(() => this.#logs.moveRecent());
    } catch (thrown) {
      if (failureOf(thrown).case === "damaged") this.#logs.leaveRecent();
    }
  }

  /** Deletes some of what has been trimmed. False when there was nothing. */
  deleteTrimmed(): boolean {
    try {
      return this.#transact(() => this.#logs.deleteSome());
    } catch (thrown) {
      if (failureOf(thrown).case !== "damaged") throw thrown;
      return this.#transact(() => this.#logs.leaveSome());
    }
  }

  /** Looks whether other processes have written. */
  look(): void {
    const version = this.#statements.version.get() ?? 0;
    if (version === this.#version) return;
    this.#version = version;
    this.#othersWrote = true;
    this.#logs.forget();
  }

  /** True when other processes were seen to have written since this was asked last. */
  takeOthersWrote(): boolean {
    const wrote = this.#othersWrote;
    this.#othersWrote = false;
    return wrote;
  }

  /** True when leases have changed since this was asked last. */
  takeLeasesChanged(): boolean {
    const changed = this.#leasesChanged;
    this.#leasesChanged = false;
    return changed;
  }

  /** Moves pages from the WAL to the file when they have become many. What fails is left for the next time. */
  checkpoint(): void {
    try {
      const { log, checkpointed } = this.#statements.walState.get() ?? { log: 0, checkpointed: 0 };
      if (log >= this.#settings.maxWalPages && performance.now() >= this.#nextEmptyingMs) this.#emptyWal();
      else if (log - checkpointed >= checkpointPages) this.#statements.writeBack.get();
    } catch (thrown) {
      failureOf(thrown); // a full disk or a reader: nothing is lost, the pages stay in the WAL
    }
  }

  close(): void {
    this.#connection.close();
  }

  #emptyWal(): void {
    this.#nextEmptyingMs = performance.now() + emptyingPauseMs;
    this.#connection.pragma(`busy_timeout = ${emptyingMs}`);
    try {
      this.#connection.pragma("wal_checkpoint(TRUNCATE)");
    } finally {
      this.#connection.pragma("busy_timeout = 0");
    }
  }

  #transact<T>(work: () => T): T {
    whenFree(this.#settings.busyTimeoutMs, () => this.#statements.begin.run());
    try {
      this.look();
      const result = work();
      this.#logs.flush();
      const leasesChanged = this.#leases.flush();
      this.#statements.commit.run();
      this.#leasesChanged ||= leasesChanged;
      return result;
    } catch (thrown) {
      this.#logs.forget();
      this.#leases.forget();
      if (this.#connection.inTransaction) this.#statements.rollback.run();
      throw thrown;
    }
  }

  #apply({ kind, name, number, arrays }: Operation): Result {
    try {
      switch (kind) {
        case "append":
          return this.#logs.append(name, number, arrays);
        case "trim":
          return this.#logs.trim(name, number);
        case "lease":
          return this.#leases.lease(name, arrays, number);
        case "renew":
          return this.#leases.renew(name, number, arrays[0]);
        case "release":
          return this.#leases.release(name, number);
      }
    } catch (thrown) {
      if (thrown instanceof Failed) return thrown.failure; // found before anything was written
      throw thrown;
    }
  }
}

function prepareStatements(connection: Connection) {
  return {
    begin: connection.prepare<[]>("BEGIN IMMEDIATE"),
    commit: connection.prepare<[]>("COMMIT"),
    rollback: connection.prepare<[]>("ROLLBACK"),
    version: connection.prepare<[], number>("PRAGMA data_version").pluck(),
    walState: connection.prepare<[], { log: number; checkpointed: number }>("PRAGMA wal_checkpoint(NOOP)"),
    writeBack: connection.prepare<[]>("PRAGMA wal_checkpoint(PASSIVE)"),
  };
}

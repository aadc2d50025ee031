import { Code, ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import { createBackoff, pause, taskBounds } from "../core/index.ts";
import type { Store } from "../store/index.ts";
import { readEntry, stepIn } from "./entries.ts";
import { leaveNote, type Note } from "./notes.ts";
import type { TaskRecord } from "./record.ts";

export interface FollowerInit {
  readonly record: TaskRecord;
  /** The server that runs it. */
  readonly runner: string;
  /** The task's log. */
  readonly name: string;
  readonly store: Store;
  readonly log: Logger;
}

export interface FollowerEvents {
  /** The task's server has died. */
  orphaned(follower: Follower): void;
  /** Nothing more comes from here. */
  ended(follower: Follower): void;
}

/** Brings a record of this server what another one appends to its task's log, and tells that one that somebody waits. */
export class Follower {
  readonly record: TaskRecord;
  /** The server that appended last. */
  runner: string;
  readonly #init: FollowerInit;
  readonly #events: FollowerEvents;
  readonly #over = new AbortController();
  #attendance: Promise<Note | undefined> | undefined;

  constructor(init: FollowerInit, events: FollowerEvents) {
    this.record = init.record;
    this.runner = init.runner;
    this.#init = init;
    this.#events = events;
  }

  get name(): string {
    return this.#init.name;
  }

  get isOver(): boolean {
    return this.#over.signal.aborted;
  }

  start(): void {
    this.record.source = { unattended: () => setImmediate(() => this.#endUnattended()) };
    this.#attend();
    void this.#read();
  }

  /** The lease of the server that runs the task has ended. */
  runnerEnded(): void {
    if (this.#over.signal.aborted) return;
    this.end();
    this.#events.orphaned(this);
  }

  end(): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort();
    this.record.source = undefined;
    void this.#attendance?.then((note) => note?.withdraw());
    this.#events.ended(this);
  }

  /** Who has been given the record has not held it yet, when it came in the turn in which another let go of it. */
  #endUnattended(): void {
    if (!this.record.attendance.isAny) this.end();
  }

  /** While somebody waits here, the task must not count as abandoned there. */
  #attend(): void {
    const { store, name, log } = this.#init;
    const to = this.runner;
    void this.#attendance?.then((note) => note?.withdraw()); // to one that has died
    this.#attendance = leaveNote({ store, to, wish: "attend", task: name }).catch((err: unknown) => {
      log.warn({ err, task: name }, "the server that runs the task does not hear that somebody waits for it");
      return undefined;
    });
  }

  async #read(): Promise<void> {
    const { store, name, log } = this.#init;
    const { signal } = this.#over;
    const backoff = createBackoff({ initialMs: 100, maxMs: 1_000 });
    let number = this.record.log.events.length + 1;
    let giveUpMs = Number.POSITIVE_INFINITY;
    for (;;) {
      try {
        for await (const bytes of store.read(name, number, { follow: true, signal })) {
          if (signal.aborted || this.#take(number, bytes)) return; // the record may be another's by now
          number++;
          giveUpMs = Number.POSITIVE_INFINITY;
        }
      } catch (thrown) {
        if (signal.aborted) return;
        const error = ConnectError.from(thrown);
        giveUpMs = Math.min(giveUpMs, performance.now() + taskBounds.awayPatienceMs);
        if (error.code !== Code.Unavailable || performance.now() > giveUpMs) return this.#fail(error);
        log.warn({ err: error, task: name }, "the tasks' store is away");
        await pause(backoff.nextMs(), signal);
      }
    }
  }

  /** @returns true when that was the last one. */
  #take(number: number, bytes: Uint8Array): boolean {
    const entry = readEntry(this.#init.name, number, bytes);
    const { event, ...step } = stepIn(entry);
    const { runner } = this;
    this.runner = entry.runner || runner;
    this.record.restore(event, step);
    if (this.record.log.settled) {
      this.end();
      this.record.conclude();
      return true;
    }
    if (this.runner !== runner) this.#attend();
    return false;
  }

  /** The task may go on where it runs; here nobody sees it. */
  #fail(error: ConnectError): void {
    this.end();
    this.record.fail(error, { isEnd: false });
  }
}

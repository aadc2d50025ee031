import { ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import { createBackoff, pause, unavailable } from "../core/index.ts";
import type { CallerIdentity } from "../identity/index.ts";
import { isLengthConflict } from "../store/index.ts";
import type { Hold } from "./attendance.ts";
import { taskLogName, writeStep } from "./entries.ts";
import type { Executor } from "./executor.ts";
import type { Journal } from "./journal.ts";
import { readNotes } from "./notes.ts";
import type { TaskRecord } from "./record.ts";
import type { RunInit } from "./run.ts";
import type { TaskWriter } from "./task-writer.ts";
import { callerCancelled, type TaskParts } from "./tasks.ts";

export interface PostsOptions {
  readonly parts: TaskParts;
  readonly executor: Executor;
  readonly journal: Journal;
  readonly log: Logger;
  /** Goes on with a task that ran here under another runner, for those who wait for it. */
  readonly readopt: (record: TaskRecord, init: { identity: CallerIdentity; runner: string }) => void;
}

/** A kept task at work here. */
interface Post {
  readonly record: TaskRecord;
  readonly writer: TaskWriter;
  readonly init: RunInit;
  /** By the notes of servers at which somebody waits for it. */
  readonly attended: Map<string, Hold>;
  readonly runner: string;
}

/** The kept tasks that run on this server: what becomes of them when the store, or another server, does not leave them to it. */
export class Posts {
  readonly #options: PostsOptions;
  readonly #posts = new Map<string, Post>();
  #listening: AbortController | undefined;
  #listeningAs = "";

  constructor(options: PostsOptions) {
    this.#options = options;
  }

  /** Runs a record that is kept. */
  run(record: TaskRecord, init: RunInit, writer: TaskWriter): void {
    const { parts, executor, journal } = this.#options;
    const name = taskLogName(record.caller, record.id);
    this.#posts.set(name, { record, writer, init, attended: new Map(), runner: journal.runner.id });
    parts.table.resume(record);
    executor.run(record, init, writer);
  }

  /** Who asked for the task that runs here; undefined when it does not. */
  identityOf(record: TaskRecord): CallerIdentity | undefined {
    const post = this.#posts.get(taskLogName(record.caller, record.id));
    return post?.record === record ? post.init.identity : undefined;
  }

  /** True while the task of this log runs here. */
  has(name: string): boolean {
    return this.#posts.has(name);
  }

  /** A record has settled. */
  settled(record: TaskRecord): void {
    const name = taskLogName(record.caller, record.id);
    if (this.#posts.get(name)?.record === record) this.#posts.delete(name);
  }

  /** Hears from now on what other servers wish. */
  listen(): void {
    const { journal, log } = this.#options;
    const { id } = journal.runner;
    if (this.#listeningAs === id) return;
    this.#listening?.abort();
    this.#listening = new AbortController();
    this.#listeningAs = id;
    const signal = AbortSignal.any([this.#listening.signal, journal.signal]);
    const listener = {
      left: (wish: string, task: string, id: string) => {
        const post = this.#posts.get(task);
        if (wish === "cancel") post?.record.stop(callerCancelled());
        else if (wish === "leave") post?.record.attendance.callerLeft();
        else if (post !== undefined && !post.attended.has(id)) post.attended.set(id, post.record.attendance.hold());
      },
      withdrawn: (wish: string, task: string, id: string) => {
        if (wish !== "attend") return;
        const attended = this.#posts.get(task)?.attended;
        attended?.get(id)?.release(true);
        attended?.delete(id);
      },
    };
    void readNotes({ store: journal.store, to: id, log }, listener, signal);
  }

  /** Another server has the task: what it appends counts. */
  overtaken(record: TaskRecord): void {
    const post = this.#withdraw(record, unavailable("another server has taken the task over", 1_000));
    if (post === undefined || !record.attendance.isAny) return;
    this.#options.readopt(record, { identity: post.init.identity, runner: post.runner });
  }

  /** This server was taken for dead. */
  lost(): void {
    for (const { record } of [...this.#posts.values()]) this.overtaken(record);
  }

  /** Leaves the task to other servers; who waits for it here asks one of them. */
  leave(record: TaskRecord, reason: ConnectError): void {
    if (this.#withdraw(record, reason) !== undefined) record.fail(reason, { isEnd: false });
  }

  /** The store does not take what the task produces: it fails, and the store is told when it takes it. */
  failed(record: TaskRecord, error: ConnectError): void {
    const post = this.#posts.get(taskLogName(record.caller, record.id));
    if (post?.record !== record) return; // it had not begun
    this.#options.log.error({ err: error, task: record.id }, "a task could not be kept, and fails");
    record.log.dropUnseen();
    record.log.keepWith(undefined);
    record.fail(error);
    void this.#finishLater(record, post.writer.length);
  }

  async #finishLater(record: TaskRecord, length: number): Promise<void> {
    const { finish } = record;
    if (finish === undefined) return;
    const { journal } = this.#options;
    const backoff = createBackoff({ maxMs: 30_000 });
    const event = { case: "finish", value: finish } as const;
    const entry = writeStep({ event, elapsedMs: record.endTimeMs - record.createTimeMs }, "");
    while (!journal.signal.aborted) {
      await pause(backoff.nextMs(), journal.signal);
      try {
        await journal.store.append(taskLogName(record.caller, record.id), [entry], { expectedLength: length });
        return;
      } catch (thrown) {
        if (isLengthConflict(thrown)) return; // another server has ended it
        this.#options.log.debug({ err: ConnectError.from(thrown), task: record.id }, "the task's end could not be kept yet");
      }
    }
  }

  /** Ends the agent's work, without an end of the task. */
  #withdraw(record: TaskRecord, reason: ConnectError): Post | undefined {
    const name = taskLogName(record.caller, record.id);
    const post = this.#posts.get(name);
    const { run } = record;
    if (post?.record !== record || run === undefined) return undefined;
    this.#posts.delete(name);
    post.writer.end();
    run.end();
    this.#options.parts.table.withdraw(record);
    record.run = undefined;
    for (const hold of post.attended.values()) hold.release(true);
    record.log.dropUnseen();
    record.log.keepWith(undefined);
    run.abort(reason);
    return post;
  }
}

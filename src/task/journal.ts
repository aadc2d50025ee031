import type { Logger } from "pino";
import { type Limits, outOfRange, resourceExhausted, taskBounds, unavailable } from "../core/index.ts";
import type { EntryAuthor } from "../memory/index.ts";
import { firstKept, type Lease, type Store } from "../store/index.ts";
import { type Begin, beginOf, callerPrefix, readEntry, stepIn, taskLogName } from "./entries.ts";
import { Follower, type FollowerEvents } from "./follower.ts";
import { TaskRecord } from "./record.ts";
import { Runner } from "./runner.ts";
import { TaskWriter, type WriterEvents } from "./task-writer.ts";

export interface JournalOptions {
  readonly store: Store;
  /** Shows events before they are kept. */
  readonly isEager: boolean;
  readonly limits: Limits;
  readonly log: Logger;
}

/** What happens to tasks beyond the calls of this process. */
export interface JournalEvents extends WriterEvents {
  /** This server was taken for dead: what it runs may be another's by now. */
  runnerLost(): void;
}

/** A task as its log tells it. */
export interface LoadedTask {
  readonly record: TaskRecord;
  readonly begin: Begin;
  /** The server that appended last. */
  readonly runner: string;
}

/** The logs of tasks in a store, and this server's part among those that share it. */
export class Journal {
  readonly runner: Runner;
  readonly store: Store;
  readonly #options: JournalOptions;
  readonly #events: JournalEvents;
  readonly #closed = new AbortController();
  /** A record has one follower at most: a second one would double its events. */
  readonly #followers = new Map<TaskRecord, Follower>();
  /** By the name of the log, the latest of them: there may be several records of one task. */
  readonly #followed = new Map<string, Follower>();
  #isWatching = false;

  constructor(options: JournalOptions, events: JournalEvents) {
    const { store, log } = options;
    this.store = store;
    this.#options = options;
    this.#events = events;
    this.runner = new Runner({ store, log, onLost: () => events.runnerLost() });
  }

  /** Aborted when it is closed. */
  get signal(): AbortSignal {
    return this.#closed.signal;
  }

  /** Keeps what a record that runs here appends from now on. @param begin for a task that has no log yet. */
  keep(record: TaskRecord, begin?: Begin): TaskWriter {
    this.#followers.get(record)?.end();
    const { store, isEager } = this.#options;
    const { runner } = this;
    const length = begin === undefined ? record.log.events.length + 1 : 0;
    const log = taskLogName(record.caller, record.id);
    const init = { record, store, runner, log, length, isEager, events: this.#events };
    const writer = new TaskWriter(begin === undefined ? init : { ...init, begin });
    record.log.keepWith(writer);
    return writer;
  }

  /**
   * A task as it stands in the store; undefined when there is none.
   *
   * @throws ConnectError OUT_OF_RANGE when its events are gone, DATA_LOSS when they are damaged, UNAVAILABLE when the store is away.
   */
  async load(caller: string, taskId: string, onSettle: (record: TaskRecord) => void): Promise<LoadedTask | undefined> {
    const log = taskLogName(caller, taskId);
    let loaded: LoadedTask | undefined;
    let number = 0;
    for await (const bytes of this.#entries(log, taskId)) {
      const entry = readEntry(log, number++, bytes);
      if (loaded === undefined) {
        const begin = beginOf(log, entry);
        loaded = { begin, record: this.#recordOf(begin, taskId, onSettle), runner: entry.runner };
      } else {
        const { event, ...step } = stepIn(entry);
        loaded.record.restore(event, step);
        if (entry.runner !== "") loaded = { ...loaded, runner: entry.runner };
      }
    }
    return loaded;
  }

  /** A task by its log, when it has ended; undefined otherwise. @throws ConnectError as {@link load}. */
  async loadEnded(log: string): Promise<{ record: TaskRecord; author: EntryAuthor } | undefined> {
    for await (const bytes of this.store.read(log, 0)) {
      const { caller } = beginOf(log, readEntry(log, 0, bytes));
      const taskId = log.slice(callerPrefix(caller.name).length);
      const loaded = await this.load(caller.name, taskId, () => {});
      return loaded?.record.log.settled ? { record: loaded.record, author: caller } : undefined;
    }
    return undefined;
  }

  async *#entries(log: string, taskId: string): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* this.store.read(log, 0);
    } catch (thrown) {
      const first = firstKept(thrown);
      if (first === undefined) throw thrown;
      throw outOfRange(`the events of task "${taskId}" are gone; the first one held is ${first - 1}`); // the begin is no event
    }
  }

  #recordOf(begin: Begin, id: string, onSettle: (record: TaskRecord) => void): TaskRecord {
    const { caller, agent, request, createTimeMs } = begin;
    const { limits } = this.#options;
    return new TaskRecord({
      id,
      caller: caller.name,
      agent,
      request: { ...request, taskId: id },
      createTimeMs,
      limits,
      onSettle,
    });
  }

  /** How a record's task began. @throws ConnectError as {@link load}. */
  async begin({ caller, id }: TaskRecord): Promise<Begin> {
    const log = taskLogName(caller, id);
    for await (const bytes of this.store.read(log, 0)) return beginOf(log, readEntry(log, 0, bytes));
    throw unavailable(`log "${log}" is not there yet`, 1_000);
  }

  /** True when another server has appended to the log of a record that has settled here. */
  async hasMore({ caller, id, log }: TaskRecord): Promise<boolean> {
    for await (const _ of this.store.read(taskLogName(caller, id), log.shown + 1)) return true;
    return false;
  }

  /** The server that runs a task which this one follows; empty for others. */
  runnerOf({ caller, id }: TaskRecord): string {
    return this.#followed.get(taskLogName(caller, id))?.runner ?? "";
  }

  /** The task that this server follows. */
  followed(caller: string, taskId: string): TaskRecord | undefined {
    return this.#followed.get(taskLogName(caller, taskId))?.record;
  }

  /**
   * Brings a record the events that another server appends, until it has settled or nobody waits for it.
   *
   * @param onOrphaned told, once, when that server has died and this one may take over; following has ended then.
   * @throws ConnectError RESOURCE_EXHAUSTED when as many are followed as may be.
   */
  follow({ record, runner }: Pick<LoadedTask, "record" | "runner">, onOrphaned: FollowerEvents["orphaned"]): Follower {
    this.#followers.get(record)?.end();
    if (this.#followers.size >= taskBounds.maxFollowed) {
      const description = `${taskBounds.maxFollowed} tasks of other servers are followed, the most allowed; try again in a second`;
      throw resourceExhausted({ subject: "followed tasks", description, retryMs: 1_000 });
    }
    const name = taskLogName(record.caller, record.id);
    const ended = (follower: Follower) => {
      if (this.#followers.get(record) === follower) this.#followers.delete(record);
      if (this.#followed.get(name) === follower) this.#followed.delete(name);
    };
    const init = { record, runner, name, store: this.store, log: this.#options.log };
    const follower = new Follower(init, { orphaned: onOrphaned, ended });
    this.#followers.set(record, follower);
    this.#followed.set(name, follower);
    follower.start();
    this.#watchRunners();
    return follower;
  }

  /** Takes over what another server has left undone. @returns what gives its key back; undefined while it lives. */
  async takeOver(runner: string): Promise<Pick<Lease, "release"> | undefined> {
    if (runner === this.runner.id) return { release: async () => {} }; // it is this one, and does not run the task
    return await this.runner.takeOver(runner);
  }

  /** Ends this server's part: what is left undone is others' to take over. */
  async close(): Promise<void> {
    this.#closed.abort();
    for (const follower of this.#followers.values()) follower.end();
    await this.runner.close();
  }

  /** From the first task on that is followed. */
  #watchRunners(): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    const tell = (isOver: (id: string) => boolean) => {
      for (const follower of [...this.#followers.values()]) if (isOver(follower.runner)) follower.runnerEnded();
    };
    const listener = {
      ended: (id: string) => tell((runner) => runner === id),
      current: (living: ReadonlySet<string>) => tell((runner) => !living.has(runner)),
    };
    void this.runner.watch(listener, this.#closed.signal);
  }
}

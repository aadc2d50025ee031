import { setImmediate as nextTurn } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { createBackoff, pause, taskBounds, toPeerError } from "../core/index.ts";
import { isLengthConflict, type Store } from "../store/index.ts";
import { type Begin, type KeptStep, writeBegin, writeSteps } from "./entries.ts";
import type { Keeper } from "./log.ts";
import type { TaskRecord } from "./record.ts";
import type { Runner } from "./runner.ts";

/** What becomes of a task whose events cannot be kept. */
export interface WriterEvents {
  /** The task's `finish` is about to be kept. Undefined: go on. @throws ConnectError when it cannot be. */
  finishing(record: TaskRecord): Promise<void> | undefined;
  /** It has been, and nobody has seen it yet. Never throws. */
  finished(record: TaskRecord): Promise<void> | undefined;
  /** Another server has the task now: what it has appended counts. */
  overtaken(record: TaskRecord): void;
  /** The store does not take them. */
  failed(record: TaskRecord, error: ConnectError): void;
}

export interface TaskWriterInit {
  readonly record: TaskRecord;
  readonly store: Store;
  readonly runner: Runner;
  readonly log: string;
  /** Entries that the log has. */
  readonly length: number;
  /** For a log that has none. */
  readonly begin?: Begin;
  /** Shows events before they are kept. */
  readonly isEager: boolean;
  readonly events: WriterEvents;
}

/**
 * Keeps the events of a task that runs here: appends them to its log, those of one turn of the event loop and those that come while an append is
 * under way together, and shows them when the store has them.
 *
 * Each append says how long the log has to be, so that of two servers that take a task for theirs one is refused: nothing that it appends counts.
 */
export class TaskWriter implements Keeper {
  readonly #init: TaskWriterInit;
  /** Entries that the store has. */
  #length: number;
  #isFlushing = false;
  #isOver = false;
  /** The entries of the append before may or may not have been taken. */
  #isUncertain = false;
  #waiting: (() => void)[] = [];
  #overtaken = false;
  #failure: ConnectError | undefined;

  constructor(init: TaskWriterInit) {
    this.#init = init;
    this.#length = init.length;
  }

  /** True while so many events wait that the agent has to, too. */
  get isFull(): boolean {
    const { log } = this.#init.record;
    return !this.#isOver && log.events.length - log.shown > taskBounds.maxUnkeptEvents;
  }

  wake(): void {
    if (this.#init.isEager) this.#init.record.log.show(this.#init.record.log.events.length);
    if (this.#isFlushing || this.#isOver) return;
    this.#isFlushing = true;
    void this.#flush();
  }

  /** Entries that the store has. */
  get length(): number {
    return this.#length;
  }

  /** Waits until what there is has been kept. @returns false when another server has the task. @throws ConnectError when it cannot be. */
  async kept(): Promise<boolean> {
    this.wake();
    if (this.#isFlushing) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.#failure !== undefined) throw this.#failure;
    return !this.#overtaken;
  }

  /** Keeps nothing more. */
  end(): void {
    this.#isOver = true;
  }

  async #flush(): Promise<void> {
    const { record, events } = this.#init;
    try {
      while (!this.#isOver && this.#length < record.log.events.length + 1) {
        await nextTurn();
        const entries = this.#unkept();
        const isFinish = record.log.ended && this.#length + entries.length === record.log.events.length + 1;
        await this.#append(entries, isFinish);
      }
    } catch (thrown) {
      this.#isOver = true;
      this.#overtaken = isLengthConflict(thrown) || thrown === overtaken;
      if (this.#overtaken) events.overtaken(record);
      else {
        this.#failure = toPeerError(thrown, "the task could not be kept");
        events.failed(record, this.#failure);
      }
    }
    this.#isFlushing = false;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #unkept(): Uint8Array[] {
    const { record, runner, begin, length } = this.#init;
    const { log, spending, additions } = record;
    const entries: Uint8Array[] = [];
    const isFirst = this.#length === length;
    if (this.#length === 0 && begin !== undefined) entries.push(writeBegin(begin, runner.id));
    const steps: KeptStep[] = [];
    const most = this.#length + taskBounds.maxKeptAtOnce;
    for (let number = this.#length + entries.length; number <= log.events.length && number < most; number++) {
      const event = log.events[number - 1];
      if (event === undefined) break;
      steps.push({ event, elapsedMs: log.elapsedMs(number - 1) ?? 0, spending, additions });
    }
    return [...entries, ...writeSteps(steps, isFirst && entries.length === 0 ? runner.id : "")];
  }

  /** Appends entries, again and again while the store is away. @throws ConnectError what it throws in the end. */
  async #append(entries: readonly Uint8Array[], isFinish: boolean): Promise<void> {
    const { store, runner, log, record, isEager, events } = this.#init;
    const backoff = createBackoff({ initialMs: 50, maxMs: 1_000 });
    const giveUpMs = performance.now() + taskBounds.awayPatienceMs;
    for (;;) {
      try {
        if (!(await runner.isValid())) throw overtaken;
        if (isFinish) await events.finishing(record);
        await store.append(log, entries, { expectedLength: this.#length });
        break;
      } catch (thrown) {
        if (this.#isUncertain && isLengthConflict(thrown) && (await this.#isThere(entries))) break;
        if (ConnectError.from(thrown).code !== Code.Unavailable || performance.now() > giveUpMs) throw thrown;
        this.#isUncertain = true;
        await pause(backoff.nextMs());
      }
    }
    this.#isUncertain = false;
    this.#length += entries.length;
    if (isFinish) await events.finished(record);
    if (this.#isOver || isEager) return;
    const { settled } = record.log;
    record.log.show(this.#length - 1); // the begin is no event
    if (record.log.settled && !settled) record.conclude();
  }

  async #isThere(entries: readonly Uint8Array[]): Promise<boolean> {
    const { store, log } = this.#init;
    let at = 0;
    for await (const entry of store.read(log, this.#length)) {
      if (Buffer.compare(entry, entries[at] ?? new Uint8Array()) !== 0) return false;
      if (++at === entries.length) return true;
    }
    return false;
  }
}

const overtaken = new ConnectError("another server has taken the task over", Code.Aborted);

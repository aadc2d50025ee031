import { resourceExhausted, type TaskEvent, taskBounds } from "../core/index.ts";

/** One entry as a reader gets it. */
export interface LogEntry {
  readonly index: number;
  readonly event: TaskEvent;
  /** Milliseconds since the task was accepted; undefined where that is not kept. */
  readonly elapsedMs: number | undefined;
  /** True when the log had settled and this was its last event; the reading ends with it. */
  readonly isFinal: boolean;
}

/** Who keeps a log's events beyond this process before they are shown. */
export interface Keeper {
  /** The log has events that are not kept yet. */
  wake(): void;
}

/** An event as it is kept. Most are texts, and a bare string is one: an object less. */
export type KeptEvent = string | TaskEvent;

/** Fixed share of an event's memory beside its strings; keeps a flood of empty events bounded too. */
const eventOverheadBytes = 64;

/**
 * The append-only sequence of a task's events, numbered from 0 without gaps.
 *
 * It settles with each `finish` event and reopens when the task is continued. Any number of readers see the same events in the
 * same order, each at its own pace; a slow one costs no memory beyond the log itself.
 *
 * With a keeper, nobody sees an event, and the log has not settled, before the keeper has said that it is kept.
 */
export class TaskLog {
  readonly #bounds: { readonly maxTaskEvents: number; readonly maxTaskBytes: number };
  #events: KeptEvent[] = [];
  #waiting: Set<() => void> | undefined;
  #bytes = 0;
  /** The last event is a `finish`. */
  #ended = false;
  #settled = false;
  #shown = 0;
  #keeper: Keeper | undefined;
  /** When the events happened, as far as that is known. */
  #times: number[] | undefined;

  constructor(bounds: { readonly maxTaskEvents: number; readonly maxTaskBytes: number }) {
    this.#bounds = bounds;
  }

  /** All of them, also those that nobody sees yet. */
  get events(): readonly KeptEvent[] {
    return this.#events;
  }

  /** Those that are seen. */
  get seen(): readonly KeptEvent[] {
    return this.#shown === this.#events.length ? this.#events : this.#events.slice(0, this.#shown);
  }

  /** How many they are. */
  get shown(): number {
    return this.#shown;
  }

  /** True while somebody keeps it. */
  get isKept(): boolean {
    return this.#keeper !== undefined;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** True when it is decided that no event comes unless the task is continued. */
  get ended(): boolean {
    return this.#ended;
  }

  /** True when that can be seen. */
  get settled(): boolean {
    return this.#settled;
  }

  /** From now on events are shown when this one says so; undefined: at once. All that there are have been. */
  keepWith(keeper: Keeper | undefined): void {
    this.#keeper = keeper;
  }

  /**
   * Adds an event. A `finish` is always taken, so that a log over its bounds can still end.
   *
   * @throws ConnectError RESOURCE_EXHAUSTED when the log is full.
   */
  append(event: KeptEvent, elapsedMs?: number): void {
    const bytes = this.#bytes + sizeOf(event);
    const isFinish = typeof event === "object" && event.case === "finish";
    if (!isFinish) this.#checkBounds(bytes);
    this.#events.push(event);
    this.#bytes = bytes;
    this.#ended = isFinish;
    if (elapsedMs !== undefined) {
      this.#times ??= [];
      this.#times[this.#events.length - 1] = elapsedMs;
    }
    if (this.#keeper === undefined) this.show(this.#events.length);
    else this.#keeper.wake();
  }

  /** When an event happened, in milliseconds since the task was accepted; undefined where that is not kept. */
  elapsedMs(index: number): number | undefined {
    return this.#times?.[index];
  }

  /** Lets readers see the first `count` events. */
  show(count: number): void {
    this.#shown = count;
    if (this.#ended && count === this.#events.length) this.#settle();
    if (this.#waiting !== undefined) for (const wake of this.#waiting) wake();
  }

  /** Forgets what nobody has seen: it could not be kept. */
  dropUnseen(): void {
    this.#events.length = this.#shown;
    this.#ended = this.#settled;
    this.#bytes = this.#events.reduce((sum, event) => sum + sizeOf(event), 0);
  }

  /** Lets a settled log take events again: the task is continued. */
  reopen(): void {
    this.#ended = this.#settled = false;
  }

  /**
   * The events from number `from` on, a few at a time, waiting for those to come; ends after the `finish` that settles the log.
   *
   * @throws what `signal` is aborted with.
   */
  async *read(from: number, signal: AbortSignal): AsyncGenerator<LogEntry[], void, undefined> {
    for (let index = from; ; ) {
      if (index < this.#shown) {
        const page = this.#page(index);
        yield page;
        index += page.length;
        if (page.at(-1)?.isFinal === true) return;
      } else {
        if (this.#settled) return;
        signal.throwIfAborted();
        await this.#changed(signal);
      }
    }
  }

  /** What a reader gets at once: a step of an async generator for each event would be most of what it costs. */
  #page(from: number): LogEntry[] {
    const page: LogEntry[] = [];
    const end = Math.min(this.#shown, from + taskBounds.maxReadAtOnce);
    for (let index = from; index < end; index++) {
      const kept = this.#events[index] as KeptEvent; // those that are shown are there
      const event: TaskEvent = typeof kept === "string" ? { case: "text", value: kept } : kept;
      page.push({ index, event, elapsedMs: this.#times?.[index], isFinal: this.#settled && index + 1 === this.#shown });
    }
    return page;
  }

  #settle(): void {
    this.#settled = true;
    this.#events = this.#events.slice(); // an array that has grown has room for sixteen more; this may be kept for long
  }

  #changed(signal: AbortSignal): Promise<void> {
    this.#waiting ??= new Set();
    const waiting = this.#waiting;
    return new Promise((resolve, reject) => {
      const stop = () => {
        waiting.delete(wake);
        signal.removeEventListener("abort", abort);
      };
      const wake = () => {
        stop();
        resolve();
      };
      const abort = () => {
        stop();
        reject(signal.reason);
      };
      waiting.add(wake);
      signal.addEventListener("abort", abort);
    });
  }

  #checkBounds(bytes: number): void {
    const { maxTaskEvents, maxTaskBytes } = this.#bounds;
    if (this.#events.length >= maxTaskEvents) {
      throw resourceExhausted({
        subject: "task events",
        description: `the task has its ${maxTaskEvents} events, the most allowed`,
      });
    }
    if (bytes > maxTaskBytes) {
      throw resourceExhausted({
        subject: "task bytes",
        description: `the task's events are over ${maxTaskBytes} bytes, the most allowed`,
      });
    }
  }
}

function sizeOf(event: KeptEvent): number {
  if (typeof event === "string") return eventOverheadBytes + event.length;
  switch (event.case) {
    case "text":
    case "reasoning":
      return eventOverheadBytes + event.value.length;
    case "toolCall":
      return eventOverheadBytes + event.value.argumentsJson.length + (event.value.providerState?.length ?? 0);
    case "toolResult":
      return eventOverheadBytes + event.value.resultJson.length;
    case "guardrailBlock":
      return eventOverheadBytes + event.value.text.length;
    case "inputRequest":
      return eventOverheadBytes + event.value.prompt.length + (event.value.toolCall?.argumentsJson.length ?? 0);
    case "input":
      return eventOverheadBytes + event.value.text.length;
    case "citation":
      return eventOverheadBytes + event.value.uri.length + event.value.title.length + event.value.quote.length;
    default:
      return eventOverheadBytes;
  }
}

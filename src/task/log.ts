import { resourceExhausted, type TaskEvent } from "../core/index.ts";

/** One entry as a reader gets it. */
export interface LogEntry {
  readonly index: number;
  readonly event: TaskEvent;
  /** True when the log had settled and this was its last event; the reading ends with it. */
  readonly isFinal: boolean;
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
 */
export class TaskLog {
  readonly #bounds: { readonly maxTaskEvents: number; readonly maxTaskBytes: number };
  #events: KeptEvent[] = [];
  #waiting: Set<() => void> | undefined;
  #bytes = 0;
  #settled = false;

  constructor(bounds: { readonly maxTaskEvents: number; readonly maxTaskBytes: number }) {
    this.#bounds = bounds;
  }

  get events(): readonly KeptEvent[] {
    return this.#events;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** True while no event can come unless the task is continued. */
  get settled(): boolean {
    return this.#settled;
  }

  /**
   * Adds an event and wakes the readers. A `finish` is always taken, so that a log over its bounds can still end.
   *
   * @throws ConnectError RESOURCE_EXHAUSTED when the log is full.
   */
  append(event: KeptEvent): void {
    const bytes = this.#bytes + sizeOf(event);
    const isFinish = typeof event === "object" && event.case === "finish";
    if (!isFinish) this.#checkBounds(bytes);
    this.#events.push(event);
    this.#bytes = bytes;
    if (isFinish) this.#settle();
    if (this.#waiting !== undefined) for (const wake of this.#waiting) wake();
  }

  /** Lets a settled log take events again: the task is continued. */
  reopen(): void {
    this.#settled = false;
  }

  /**
   * The events from number `from` on, waiting for those to come; ends after the `finish` that settles the log.
   *
   * @throws what `signal` is aborted with.
   */
  async *read(from: number, signal: AbortSignal): AsyncGenerator<LogEntry, void, undefined> {
    for (let index = from; ; ) {
      while (index < this.#events.length) {
        const kept = this.#events[index] as KeptEvent; // index is below the length
        const event: TaskEvent = typeof kept === "string" ? { case: "text", value: kept } : kept;
        const isFinal = this.#settled && index + 1 === this.#events.length;
        yield { index, event, isFinal };
        if (isFinal) return;
        index++;
      }
      if (this.#settled) return;
      signal.throwIfAborted();
      await this.#changed(signal);
    }
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
      return eventOverheadBytes + event.value.length;
    case "toolCall":
      return eventOverheadBytes + event.value.argumentsJson.length;
    case "toolResult":
      return eventOverheadBytes + event.value.resultJson.length;
    case "citation":
      return eventOverheadBytes + event.value.uri.length + event.value.title.length + event.value.quote.length;
    default:
      return eventOverheadBytes;
  }
}

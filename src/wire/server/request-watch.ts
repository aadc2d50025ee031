/** A call whose request message is awaited. */
export interface Awaiting {
  /** Called once, when the message has not come within the time. */
  overdue(timeoutMs: number): void;
}

/** How finely the time is watched: a fraction of the timeout itself. */
const watchesPerTimeout = 10;

/**
 * Ends calls whose request message does not come. All wait equally long, so the first to have come is the first to be late, and one
 * timer looks after them all: a timer for each would be made and thrown away with every call.
 */
export class RequestWatch {
  readonly #timeoutMs: number;
  /** With the time from which each waits; those that came first, first, however long a gate held them before. */
  readonly #awaiting = new Map<Awaiting, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  add(call: Awaiting): void {
    this.#awaiting.set(call, performance.now());
    this.#timer ??= setInterval(() => this.#look(), Math.max(1, this.#timeoutMs / watchesPerTimeout)).unref();
  }

  remove(call: Awaiting): void {
    this.#awaiting.delete(call);
  }

  #look(): void {
    const lateMs = performance.now() - this.#timeoutMs;
    for (const [call, sinceMs] of this.#awaiting) {
      if (sinceMs > lateMs) return;
      this.#awaiting.delete(call);
      call.overdue(this.#timeoutMs);
    }
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

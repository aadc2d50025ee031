import { waitFor } from "../../core/index.ts";

/** A value that changes, and those who follow it. A follower that is slow gets the latest and misses those before. */
export class Feed<T> {
  readonly #waiting = new Set<() => void>();
  #value: { readonly now: T } | undefined;
  #changes = 0;
  #reading = 0;

  /** Undefined until it is known. */
  get value(): T | undefined {
    return this.#value?.now;
  }

  /** How many follow it now. */
  get followers(): number {
    return this.#reading;
  }

  set(value: T): void {
    this.#value = { now: value };
    this.#changes++;
    this.wake();
  }

  /** Lets everybody who waits look again. */
  wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** Waits until it changes or {@link wake} is called. @throws what `signal` is aborted with. */
  changed(signal: AbortSignal | undefined): Promise<void> {
    return waitFor(signal, (wake) => {
      this.#waiting.add(wake);
      return () => this.#waiting.delete(wake);
    });
  }

  /** Its values, from when it is known. @throws what `signal` is aborted with. */
  async *read(signal: AbortSignal): AsyncGenerator<T, never, undefined> {
    this.#reading++;
    try {
      for (let seen = 0; ; ) {
        signal.throwIfAborted();
        if (this.#value === undefined || seen === this.#changes) {
          await this.changed(signal);
          continue;
        }
        seen = this.#changes;
        yield this.#value.now;
      }
    } finally {
      this.#reading--;
    }
  }
}

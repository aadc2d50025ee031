import { waitFor } from "./wait.ts";

/**
 * What is to be told of some keys, the latest of each: a reader that is slow misses states in between and never the last one. So it
 * holds at most one entry a key. Keys come in the order in which their oldest untold state was set. One reader.
 */
export class LatestQueue<Key, Value> {
  readonly #untold = new Map<Key, Value>();
  #wake: (() => void) | undefined;

  /** Keys with something untold. */
  get size(): number {
    return this.#untold.size;
  }

  set(key: Key, value: Value): void {
    this.#untold.set(key, value);
    this.#wake?.();
  }

  /**
   * The states as they come, without end.
   *
   * @throws what `signal` is aborted with, also in the middle of a wait.
   */
  async *read(signal: AbortSignal): AsyncGenerator<Value, never, undefined> {
    for (;;) {
      signal.throwIfAborted();
      const next = this.#untold.entries().next();
      if (next.done) {
        await this.#changed(signal);
        continue;
      }
      const [key, value] = next.value;
      this.#untold.delete(key);
      yield value;
    }
  }

  #changed(signal: AbortSignal): Promise<void> {
    return waitFor(signal, (wake) => {
      this.#wake = wake;
      return () => {
        this.#wake = undefined;
      };
    });
  }
}

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
    const abort = () => this.#wake?.();
    signal.addEventListener("abort", abort); // once, and not for each of very many waits
    try {
      for (;;) {
        signal.throwIfAborted();
        // One iteration takes in what comes meanwhile; each new one would have to pass over all that has left the map.
        for (const [key, value] of this.#untold) {
          this.#untold.delete(key);
          yield value;
          signal.throwIfAborted();
        }
        await this.#changed();
      }
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

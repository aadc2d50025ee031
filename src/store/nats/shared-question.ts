import { waitFor } from "../../core/index.ts";

/** A question that many ask at once: whoever asks gets the answer to one that began after they had asked, and two at most are under way. */
export class SharedQuestion {
  readonly #put: () => Promise<void>;
  #current: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(put: () => Promise<void>) {
    this.#put = put;
  }

  ask(): Promise<void> {
    this.#next ??= this.#current
      .catch(() => {}) // whoever asked then is told
      .then(() => {
        this.#next = undefined;
        this.#current = this.#put();
        return this.#current;
      });
    return this.#next;
  }
}

/** A promise's outcome, or the reason of an abort that comes first. */
export async function outcome<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  await waitFor(signal, (wake) => {
    promise.then(wake, wake);
    return () => {};
  });
  return promise;
}

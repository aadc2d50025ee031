/** A number of 0 or more below 1, such as `Math.random` gives. */
export type Random = () => number;

export interface BackOffOptions {
  readonly initialMs: number;
  readonly multiplier: number;
  readonly maxMs: number;
  readonly random: Random;
}

/** Every wait is up to this much longer or shorter, so that clients which failed together do not come back together. */
const jitter = 0.2;

/** Waits that grow: min(initial × multiplier^(n−1), max) ± 20 % (gRPC connection backoff; gRFC A6). */
export class BackOff {
  readonly #options: BackOffOptions;
  #count = 0;

  constructor(options: BackOffOptions) {
    this.#options = options;
  }

  /** Milliseconds to wait this time. */
  next(): number {
    const { initialMs, multiplier, maxMs, random } = this.#options;
    const meanMs = Math.min(initialMs * multiplier ** this.#count++, maxMs);
    return meanMs * (1 - jitter + 2 * jitter * random());
  }

  /** It went well: the next wait is the first again. */
  reset(): void {
    this.#count = 0;
  }
}

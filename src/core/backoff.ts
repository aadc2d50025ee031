/** A number of 0 or more below 1, such as `Math.random` gives. */
export type Random = () => number;

/** How the waits between attempts grow. */
export interface BackoffOptions {
  /** The first wait, in milliseconds. Default 1,000. */
  readonly initialMs?: number;
  /** What each wait is longer than the one before. Default 1.6. */
  readonly multiplier?: number;
  /** The longest wait, in milliseconds. Default 120,000. */
  readonly maxMs?: number;
  /** The share by which a wait is longer or shorter by chance, so that many who failed together do not come back together. Default 0.2. */
  readonly jitter?: number;
  /** Default `Math.random`. */
  readonly random?: Random;
}

/** The waits of one series of attempts. */
export interface Backoff {
  /** How long to wait now, in milliseconds; the next wait is longer. */
  nextMs(): number;
  /** Begins anew: an attempt has succeeded. */
  reset(): void;
}

/** Waits between attempts; the defaults are gRPC's (gRPC connection backoff). */
export function createBackoff(options: BackoffOptions = {}): Backoff {
  const { initialMs = 1_000, multiplier = 1.6, maxMs = 120_000, jitter = 0.2, random = Math.random } = options;
  let baseMs = Math.min(initialMs, maxMs);
  return {
    nextMs() {
      const ms = baseMs * (1 + jitter * (2 * random() - 1));
      baseMs = Math.min(baseMs * multiplier, maxMs);
      return ms;
    },
    reset() {
      baseMs = Math.min(initialMs, maxMs);
    },
  };
}

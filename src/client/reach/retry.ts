import { Code, type ConnectError } from "@connectrpc/connect";
import { RetryInfoSchema } from "../../contract/index.ts";
import { reachBounds } from "../../core/index.ts";
import type { AttemptEnd } from "../../wire/index.ts";

/** When a call that failed is sent again (gRFC A6). */
export interface RetryOptions {
  /** Attempts of one call together, 1 to 5. Default 4; 1 is none again. */
  readonly maxAttempts?: number;
  /** Milliseconds before the second attempt, ± 20 %. Default 50: another replica can be asked soon. */
  readonly initialBackOffMs?: number;
  /** By how much each wait is longer than the one before. Default 2. */
  readonly backOffMultiplier?: number;
  /** The longest wait in milliseconds. Default 5,000. */
  readonly maxBackOffMs?: number;
  /** Codes after which every method is sent again, also those that are not idempotent. Default: none. */
  readonly codes?: readonly Code[];
}

export type RetrySettings = Required<RetryOptions>;

/** @throws RangeError for figures that cannot be. */
export function resolveRetry(options: RetryOptions = {}): RetrySettings {
  const settings = { maxAttempts: 4, initialBackOffMs: 50, backOffMultiplier: 2, maxBackOffMs: 5_000, codes: [], ...options };
  const { maxAttempts, initialBackOffMs, backOffMultiplier, maxBackOffMs } = settings;
  if (!Number.isInteger(maxAttempts) || maxAttempts < 1 || maxAttempts > reachBounds.maxAttempts) {
    throw new RangeError(`retry.maxAttempts is ${maxAttempts}; it must be 1 to ${reachBounds.maxAttempts}`);
  }
  if (!(initialBackOffMs >= 0 && backOffMultiplier >= 1 && maxBackOffMs >= initialBackOffMs)) {
    throw new RangeError(
      "retry: initialBackOffMs is 0 or more, backOffMultiplier 1 or more, maxBackOffMs no less than the first",
    );
  }
  return settings;
}

/** How a call failed, and what it is. */
export interface FailedAttempt {
  readonly error: ConnectError;
  readonly how: AttemptEnd;
  readonly idempotent: boolean;
}

/** The failure allows another attempt: the server did not begin, or to begin again is harmless, or the code is declared retryable. */
export function isRetryable({ error, how, idempotent }: FailedAttempt, { codes }: RetrySettings): boolean {
  if (how === "unprocessed" || codes.includes(error.code)) return true;
  if (!idempotent) return false;
  if (how === "late" || error.code === Code.Unavailable) return true;
  return error.code === Code.ResourceExhausted && (retryInfoMs(error) !== undefined || pushbackOf(error) !== undefined);
}

/** What the server says of another attempt: milliseconds to wait, or that there must be none. */
export type Pushback = number | "none" | undefined;

/** `grpc-retry-pushback-ms` (gRFC A6, "Pushback"): negative, or not to be read, means no retry. */
export function pushbackOf({ metadata }: ConnectError): Pushback {
  const value = metadata.get("grpc-retry-pushback-ms");
  if (value === null) return undefined;
  return /^\d{1,10}$/.test(value) ? Number(value) : "none";
}

/** The delay of a google.rpc.RetryInfo in milliseconds. */
export function retryInfoMs(error: ConnectError): number | undefined {
  const [info] = error.findDetails(RetryInfoSchema);
  if (info?.retryDelay === undefined) return undefined;
  return Math.max(0, Number(info.retryDelay.seconds) * 1_000 + info.retryDelay.nanos / 1_000_000);
}

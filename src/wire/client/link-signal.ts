import { ConnectError } from "@connectrpc/connect";
import { cancelled, deadlineExceeded, timers } from "../../core/index.ts";

/** The signal that interceptors see: aborted by the caller's signal, by the deadline, and when the call is over. */
export interface LinkedSignal {
  readonly signal: AbortSignal;
  /** Milliseconds left; undefined without a deadline. */
  leftMs(): number | undefined;
  /** Gives the messages on, and releases when they end. */
  until<T>(messages: AsyncIterable<T>): AsyncIterable<T>;
  /** The call is over. */
  release(): void;
}

export function linkSignal(caller: AbortSignal | undefined, timeoutMs: number | undefined): LinkedSignal {
  const controller = new AbortController();
  const onAbort = () => {
    const reason: unknown = caller?.reason;
    controller.abort(reason instanceof ConnectError ? reason : cancelled("the call was cancelled"));
  };
  const deadlineMs = timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
  const late = () => controller.abort(deadlineExceeded(`the call took longer than ${timeoutMs} ms`));
  const deadline = timeoutMs === undefined ? undefined : timers.schedule(timeoutMs, late);
  if (caller?.aborted) onAbort();
  else caller?.addEventListener("abort", onAbort);
  const release = () => {
    deadline?.cancel();
    caller?.removeEventListener("abort", onAbort);
    controller.abort(cancelled("the call has ended"));
  };
  return {
    signal: controller.signal,
    release,
    leftMs: () => (deadlineMs === undefined ? undefined : Math.max(0, deadlineMs - performance.now())),
    async *until(messages) {
      try {
        yield* messages;
      } finally {
        release();
      }
    },
  };
}

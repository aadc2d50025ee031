import { setTimeout as delay } from "node:timers/promises";
import type { TokenChunk } from "../contract/index.ts";
import { deadlineExceeded } from "../core/index.ts";
import { createPacing } from "./pacing.ts";

export interface ReplayOptions {
  /** How many times as fast as it was; 0: at once. */
  readonly speed: number;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Milliseconds for all of it. Default: no end. */
  readonly timeoutMs?: number | undefined;
  readonly show: (chunk: TokenChunk) => Promise<void>;
  /** Told before a pause that is cut short, of how long it was. */
  readonly onLongPause: (ms: number) => Promise<void>;
}

/**
 * Shows a task's events, with the pauses that were between them.
 *
 * The stream is neither aborted nor left early, which would stop a task at work: whoever has seen enough lets the connection break.
 *
 * @throws what the stream, `show` and the signal throw; ConnectError DEADLINE_EXCEEDED when the time is over.
 */
export async function replay(chunks: AsyncIterable<TokenChunk>, options: ReplayOptions): Promise<void> {
  const { speed, signal, timeoutMs, show, onLongPause } = options;
  using over = endOf(signal, timeoutMs);
  const reader = chunks[Symbol.asyncIterator]();
  const pacing = createPacing(speed, performance.now());
  for (;;) {
    const next = await Promise.race([reader.next(), over.promise]);
    if (next.done === true) return;
    const { waitMs, cutMs } = pacing.next(next.value.elapsedMs ?? 0, performance.now());
    if (cutMs !== undefined) await onLongPause(cutMs);
    if (waitMs > 0) await Promise.race([delay(waitMs), over.promise]);
    await show(next.value);
  }
}

/** A promise that is rejected when it is to end. */
function endOf(signal: AbortSignal, timeoutMs: number | undefined): Disposable & { readonly promise: Promise<never> } {
  let dispose = () => {};
  const promise = new Promise<never>((_resolve, reject) => {
    const stop = () => reject(signal.reason);
    const late = () => reject(deadlineExceeded(`the replay took longer than its ${timeoutMs} ms`));
    const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
    signal.addEventListener("abort", stop);
    dispose = () => {
      signal.removeEventListener("abort", stop);
      clearTimeout(timer);
    };
  });
  promise.catch(() => {}); // it may come when nobody waits
  return { promise, [Symbol.dispose]: () => dispose() };
}

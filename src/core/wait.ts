import { timers } from "./timer-wheel.ts";

/**
 * Waits until `start` calls its `wake`, and leaves nothing behind.
 *
 * @param start begins the wait; what it returns is called when the wait is over, in either way.
 * @throws what `signal` is aborted with, before or meanwhile.
 */
export function waitFor(signal: AbortSignal | undefined, start: (wake: () => void) => () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    let stop = () => {};
    const over = () => {
      signal?.removeEventListener("abort", abort);
      stop();
    };
    const abort = () => {
      over();
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort);
    stop = start(() => {
      over();
      resolve();
    });
  });
}

/** Waits for some milliseconds; less when the signal is aborted, which is no failure. Keeps no process alive. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  const over = waitFor(signal, (wake) => {
    const due = timers.schedule(ms, wake);
    return () => due.cancel();
  });
  return over.catch(() => {}); // nothing else can fail
}

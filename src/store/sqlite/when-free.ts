import { failureOf } from "./failure.ts";

/** Between attempts. SQLite's own waits grow to 100 ms, and whoever writes on and on wins. */
const retryMs = 1;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** Tries again while another process has the file to itself, for so long. The thread waits. @throws what `attempt` throws. */
export function whenFree<T>(timeoutMs: number, attempt: () => T): T {
  for (const untilMs = performance.now() + timeoutMs; ; ) {
    try {
      return attempt();
    } catch (thrown) {
      if (failureOf(thrown).case !== "busy" || performance.now() >= untilMs) throw thrown;
      Atomics.wait(sleeper, 0, 0, retryMs);
    }
  }
}

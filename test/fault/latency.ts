import { setTimeout as pause } from "node:timers/promises";

/** Milliseconds, from the time at which each call was meant to start. */
export interface Latencies {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** Starts calls at even distances, whether or not those before have ended. @throws what a call throws. */
export async function latenciesOf(
  call: () => Promise<unknown>,
  { callsPerSecond, durationMs }: { callsPerSecond: number; durationMs: number },
): Promise<Latencies> {
  const total = Math.floor((callsPerSecond * durationMs) / 1_000);
  const calls: Promise<number>[] = [];
  const startMs = performance.now();
  const timed = async (dueMs: number) => {
    await call();
    return performance.now() - dueMs;
  };
  while (calls.length < total) {
    const dueMs = startMs + (calls.length * 1_000) / callsPerSecond;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await pause(waitMs);
    calls.push(timed(dueMs));
  }
  return summaryOf(await Promise.all(calls));
}

export function summaryOf(latenciesMs: readonly number[]): Latencies {
  const sorted = latenciesMs.toSorted((one, other) => one - other);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}

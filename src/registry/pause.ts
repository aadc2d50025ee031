import { setTimeout as delay } from "node:timers/promises";

/** Waits; less when the signal is aborted, which is no failure. Keeps no process alive. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal, ref: false }).catch(() => {}); // nothing else can fail
}

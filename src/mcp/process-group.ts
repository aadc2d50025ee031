import type { ChildProcess } from "node:child_process";
import { setTimeout as wait } from "node:timers/promises";
import { mcpBounds } from "../core/index.ts";

/** A program that was started detached, and all that it has started; it ends with this process. For POSIX. */
export class ProcessGroup {
  readonly #id: number;

  constructor(leader: ChildProcess) {
    this.#id = leader.pid ?? Number.NaN;
    running.add(this);
    if (running.size === 1) process.on("exit", endAll);
  }

  /** @returns whether there was anything to signal; 0 only asks. */
  signal(signal: NodeJS.Signals | 0): boolean {
    try {
      return process.kill(-this.#id, signal);
    } catch {
      return false; // nobody of it is left, or nobody who is ours
    }
  }

  /** Waits until nobody is left, and sees to it: SIGTERM, then SIGKILL. This process stays alive meanwhile. */
  async end(): Promise<void> {
    const isEmpty = () => !this.signal(0);
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      if (await becomes(isEmpty, mcpBounds.closeMs)) break;
      this.signal(signal);
    }
    await becomes(isEmpty, mcpBounds.closeMs);
    running.delete(this);
    if (running.size === 0) process.off("exit", endAll);
  }
}

/** Waits until it is so, by asking: nobody tells of processes that are not our own children. @returns whether it is when the time is over. */
export async function becomes(isSo: () => boolean, boundMs: number): Promise<boolean> {
  for (let ms = 0; ms < boundMs && !isSo(); ms += mcpBounds.pollMs) await wait(mcpBounds.pollMs);
  return isSo();
}

const running = new Set<ProcessGroup>();

/** Nothing can be awaited any more, and a leader that has ended is not seen to: so the whole time is given. */
function endAll(): void {
  for (const group of running) group.signal("SIGTERM");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, mcpBounds.exitMs);
  for (const group of running) group.signal("SIGKILL");
}

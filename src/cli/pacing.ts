/** When to show the events of a task that is played back. */
export interface Pacing {
  /**
   * What there is to wait before an event that came `elapsedMs` after the task's begin.
   *
   * @param nowMs by a clock that never goes back.
   */
  next(elapsedMs: number, nowMs: number): Pause;
}

export interface Pause {
  readonly waitMs: number;
  /** How long it was in truth, where that is cut short. */
  readonly cutMs?: number;
}

/** A task that waited for its caller overnight is not to be waited for again. */
const longestMs = 10_000;

/**
 * As it was, at `speed` times its pace. Who is late, since a task at work has not come further or the screen is slow, is not hurried on; times that go
 * back, as the clocks of two servers may, are no pause.
 *
 * @param speed 0: at once.
 */
export function createPacing(speed: number, startMs: number): Pacing {
  let [dueMs, lastMs] = [startMs, 0];
  return {
    next(elapsedMs, nowMs) {
      if (speed === 0) return { waitMs: 0 };
      const wasMs = Math.max(0, elapsedMs - lastMs);
      lastMs = Math.max(lastMs, elapsedMs);
      const isLong = wasMs / speed > longestMs;
      dueMs = Math.max(dueMs + Math.min(wasMs / speed, longestMs), nowMs);
      const waitMs = dueMs - nowMs;
      return isLong && waitMs > 0 ? { waitMs, cutMs: wasMs } : { waitMs };
    },
  };
}

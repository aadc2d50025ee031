/** How long the best estimate is kept: servers that lead may change, and their clocks differ. */
const keptMs = 1_000;

/** What the clock of the servers shows, from messages and when they came. It is never ahead: a message comes after it was stored. */
export class ServerClock {
  /** The servers' time less `performance.now`. */
  #offsetMs = Number.NEGATIVE_INFINITY;
  #sinceMs = 0;

  /** A message that has just come, stored at this time. */
  hear(timeMs: number): void {
    const nowMs = performance.now();
    const offsetMs = timeMs - nowMs;
    if (offsetMs < this.#offsetMs && nowMs - this.#sinceMs < keptMs) return; // it was longer on its way
    this.#offsetMs = offsetMs;
    this.#sinceMs = nowMs;
  }

  /** Milliseconds from now until the servers' clock shows this. */
  untilMs(timeMs: number): number {
    return this.#offsetMs === Number.NEGATIVE_INFINITY ? 0 : timeMs - (performance.now() + this.#offsetMs);
  }
}

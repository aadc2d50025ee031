/** So many at once, and so many a second to go on with: a token bucket. */
export class Budget {
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #filledMs = performance.now();

  constructor(burst: number, perSecond: number) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#left = burst;
  }

  /** Takes one. False when it is used up. */
  take(): boolean {
    const nowMs = performance.now();
    this.#left = Math.min(this.#burst, this.#left + ((nowMs - this.#filledMs) / 1_000) * this.#perSecond);
    this.#filledMs = nowMs;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}

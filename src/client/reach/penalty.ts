/** An endpoint that fails looks so many times slower at most. */
const maxFactor = 100;
/** What one failure adds, when it says nothing of the endpoint's load. */
const failureFactor = 4;
/** The penalty has faded to 1/e after this. */
const fadeMs = 1_000;

/**
 * Makes an endpoint look slower when it fails: one that refuses calls at once is never busy, and would attract them all. Failures that
 * say so outright (UNAVAILABLE, RESOURCE_EXHAUSTED) weigh as much as can be; others add up, as one among many answers means little.
 */
export class Penalty {
  #extra = 0;
  #atMs = Number.NEGATIVE_INFINITY;

  /** By what the endpoint's cost is multiplied; 1 without a failure. */
  at(nowMs: number): number {
    return this.#extra === 0 ? 1 : 1 + this.#extra * Math.exp((this.#atMs - nowMs) / fadeMs);
  }

  refused(nowMs: number): void {
    this.#extra = maxFactor - 1;
    this.#atMs = nowMs;
  }

  failed(nowMs: number): void {
    this.#extra = Math.min(maxFactor - 1, this.at(nowMs) - 1 + failureFactor);
    this.#atMs = nowMs;
  }

  forget(): void {
    this.#extra = 0;
  }
}

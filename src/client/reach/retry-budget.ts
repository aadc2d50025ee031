/** The bucket of gRFC A6, "Throttling Retry Attempts and Hedged RPCs"; large enough for the calls that one dead replica takes along. */
const maxTokens = 100;
const failureCost = 1;
const successGain = 0.1;

/** Beside it, the share of retries among the last seconds' calls: whatever happens, replicas see less than 1.2 × what was offered. */
const maxShare = 0.15;
/** Retries that are always allowed: a share of a few calls would be none. */
const minRetries = 10;
const slotMs = 1_000;
const slotCount = 10;

/**
 * Decides whether a target can bear one more retry or hedge. Failures take a token, successes give a tenth back, and at half of the
 * bucket or less there is no retry: when all fail, retries end, and the load is what callers offer.
 */
export class RetryBudget {
  readonly #calls = new Float64Array(slotCount);
  readonly #retries = new Float64Array(slotCount);
  #tokens = maxTokens;
  #slot = 0;

  /** A call begins. @param nowMs of a clock that never goes back, here as below. */
  offered(nowMs: number): void {
    this.#turn(nowMs);
    this.#add(this.#calls);
  }

  succeeded(): void {
    this.#tokens = Math.min(maxTokens, this.#tokens + successGain);
  }

  /** An attempt failed in a way that makes others likely to fail, too. */
  failed(): void {
    this.#tokens = Math.max(0, this.#tokens - failureCost);
  }

  /** Whether one more attempt may be sent; if so, it counts. */
  take(nowMs: number): boolean {
    this.#turn(nowMs);
    const allowed = Math.max(minRetries, maxShare * sum(this.#calls));
    if (this.#tokens <= maxTokens / 2 || sum(this.#retries) + 1 > allowed) return false;
    this.#add(this.#retries);
    return true;
  }

  #add(counts: Float64Array): void {
    const index = this.#slot % slotCount;
    counts[index] = (counts[index] ?? 0) + 1;
  }

  /** Forgets what is older than the window. */
  #turn(nowMs: number): void {
    const slot = Math.floor(nowMs / slotMs);
    if (slot === this.#slot) return;
    const passed = Math.min(slotCount, slot - this.#slot);
    for (let step = 1; step <= passed; step++) {
      this.#calls[(this.#slot + step) % slotCount] = 0;
      this.#retries[(this.#slot + step) % slotCount] = 0;
    }
    this.#slot = slot;
  }
}

function sum(counts: Float64Array): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}

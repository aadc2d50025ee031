/** Weight of one answer in what is usual for the target. */
const share = 0.05;
/** What is known of an endpoint fades within this many usual answers, but not sooner than within the time beside it. */
const fadeAnswers = 10;
const minFadeMs = 1_000;

/** How long a target's endpoints usually take, all together: what is assumed of one of which nothing is known. */
export class UsualLatency {
  #meanMs = 0;

  /** 1 ms until there was an answer: with nothing to compare, in-flight calls alone decide. */
  get meanMs(): number {
    return this.#meanMs || 1;
  }

  get fadeMs(): number {
    return Math.max(minFadeMs, fadeAnswers * this.#meanMs);
  }

  observe(latencyMs: number): void {
    this.#meanMs = this.#meanMs === 0 ? latencyMs : this.#meanMs + (latencyMs - this.#meanMs) * share;
  }
}

/**
 * How long one endpoint takes: a moving average that jumps to every peak at once (Finagle's "peak EWMA"), so that calls leave an
 * endpoint with its first slow answer. Without answers it fades to what is usual, so that nobody is passed over for ever.
 */
export class Latency {
  readonly #usual: UsualLatency;
  #valueMs: number | undefined;
  #atMs = 0;

  constructor(usual: UsualLatency) {
    this.#usual = usual;
  }

  /** What it is taken to be at that time, in milliseconds. */
  at(nowMs: number): number {
    const { meanMs } = this.#usual;
    if (this.#valueMs === undefined) return meanMs;
    return meanMs + (this.#valueMs - meanMs) * this.#kept(nowMs);
  }

  /** An answer took this long. */
  observe(latencyMs: number, nowMs: number): void {
    const valueMs = this.#valueMs;
    if (valueMs === undefined) this.#valueMs = latencyMs;
    else {
      const { meanMs } = this.#usual;
      const kept = this.#kept(nowMs);
      const peak = latencyMs > meanMs + (valueMs - meanMs) * kept;
      this.#valueMs = peak ? latencyMs : valueMs * kept + latencyMs * (1 - kept);
    }
    this.#atMs = nowMs;
  }

  /** It takes at least this long: for calls that were given up. */
  raise(latencyMs: number, nowMs: number): void {
    if (latencyMs > this.at(nowMs)) this.observe(latencyMs, nowMs);
  }

  /** Nothing is known any more: another process answers there. */
  forget(): void {
    this.#valueMs = undefined;
  }

  #kept(nowMs: number): number {
    return Math.exp(Math.min(0, this.#atMs - nowMs) / this.#usual.fadeMs);
  }
}

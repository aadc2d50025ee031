import { type Backoff, createBackoff, type Random } from "../../core/index.ts";

/** Failures one after another that open it. */
const failuresToOpen = 5;
/** How long it stays open before one call is let through, and how that grows when the call fails. */
const probe = { initialMs: 1_000, multiplier: 2, maxMs: 60_000 } as const;

/** `closed`: calls pass. `open`: none does. `probing`: one may pass, and its end decides. */
export type BreakerState = "closed" | "open" | "probing";

export interface BreakerOptions {
  readonly random: Random;
  /** Called with every change but the end of the wait, which is {@link Breaker.wake}'s. */
  readonly onChange: () => void;
}

/**
 * Keeps calls from an endpoint that fails one call after another, whatever its health service says. Outlier ejection needs five
 * endpoints to compare; this needs one.
 */
export class Breaker {
  readonly #onChange: () => void;
  readonly #wait: Backoff;
  #state: BreakerState = "closed";
  #failures = 0;
  #unreached = false;
  #openMs = 0;

  constructor({ random, onChange }: BreakerOptions) {
    this.#onChange = onChange;
    this.#wait = createBackoff({ ...probe, random });
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** Milliseconds from opening to the probe. */
  get openMs(): number {
    return this.#openMs;
  }

  /** The last failure was UNAVAILABLE: the endpoint itself says that calls are of no use. */
  get unreached(): boolean {
    return this.#unreached;
  }

  succeeded(): void {
    this.#failures = 0;
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#wait.reset();
    this.#onChange();
  }

  /** @param unreached see {@link Breaker.unreached}. */
  failed(unreached: boolean): void {
    this.#unreached = unreached;
    if (this.#state === "open") return; // a call from before
    if (this.#state === "closed" && ++this.#failures < failuresToOpen) return;
    this.#state = "open";
    this.#openMs = this.#wait.nextMs();
    this.#onChange();
  }

  /** The wait is over: one call may try. */
  wake(): void {
    if (this.#state === "open") this.#state = "probing";
  }
}

import { Code, ConnectError } from "@connectrpc/connect";
import { cancelled } from "../../core/index.ts";
import type { Attempt, Route } from "../../wire/index.ts";
import type { HedgingOptions } from "./options.ts";
import { pushbackOf } from "./retry.ts";

export interface HedgeOptions extends Required<HedgingOptions> {
  /** Makes the way of one attempt. */
  readonly route: () => Route;
  readonly signal: AbortSignal | undefined;
  /** Asked before each attempt but the first. */
  readonly allow: () => boolean;
}

/**
 * Makes a call by several attempts, the next one sent when those before it have not answered for a while or have failed in a way that
 * allows another (gRFC A6, "Hedging Policy"). The first success counts, and the others are cancelled.
 */
export function hedge<R>(attempt: Attempt<R>, options: HedgeOptions): Promise<R> {
  return new Promise((resolve, reject) => new Hedge(attempt, options, { resolve, reject }).next());
}

/** Failures after which another endpoint may succeed. */
const nonFatal: ReadonlySet<Code> = new Set([Code.Unavailable, Code.ResourceExhausted]);

class Hedge<R> {
  readonly #attempt: Attempt<R>;
  readonly #options: HedgeOptions;
  readonly #settle: { resolve(response: R): void; reject(reason: unknown): void };
  readonly #open = new Set<AbortController>();
  #timer: NodeJS.Timeout | undefined;
  #count = 0;
  #ended = false;

  constructor(
    attempt: Attempt<R>,
    options: HedgeOptions,
    settle: { resolve(response: R): void; reject(reason: unknown): void },
  ) {
    this.#attempt = attempt;
    this.#options = options;
    this.#settle = settle;
  }

  /** Sends an attempt, and the others in their time. */
  next(): void {
    const { signal, route, allow, delayMs, maxAttempts } = this.#options;
    this.#timer = undefined;
    if (this.#count > 0 && !allow()) {
      this.#count = maxAttempts;
      return;
    }
    this.#count++;
    const own = new AbortController();
    this.#open.add(own);
    this.#attempt(route(), signal === undefined ? own.signal : AbortSignal.any([signal, own.signal])).then(
      (response) => this.#won(own, response),
      (reason: unknown) => this.#lost(own, reason),
    );
    if (this.#count >= maxAttempts) return;
    if (delayMs === 0) this.next();
    else this.#timer = setTimeout(() => this.next(), delayMs);
  }

  #won(own: AbortController, response: R): void {
    this.#open.delete(own);
    if (this.#ended) return; // it was being cancelled
    this.#end();
    this.#settle.resolve(response);
  }

  #lost(own: AbortController, reason: unknown): void {
    this.#open.delete(own);
    if (this.#ended) return;
    const error = ConnectError.from(reason);
    const pushback = pushbackOf(error);
    if (pushback === "none") this.#count = this.#options.maxAttempts;
    if (nonFatal.has(error.code) && this.#count < this.#options.maxAttempts) {
      clearTimeout(this.#timer);
      if (typeof pushback === "number") this.#timer = setTimeout(() => this.next(), pushback);
      else this.next();
    }
    const hopeless = this.#open.size === 0 && this.#timer === undefined;
    if (nonFatal.has(error.code) && !hopeless) return;
    this.#end();
    this.#settle.reject(reason);
  }

  #end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    const reason = cancelled("another attempt has decided the call");
    for (const each of this.#open) each.abort(reason);
  }
}

import type { Spending } from "../contract/index.ts";
import { type AgentEvent, type Budget, resourceExhausted } from "../core/index.ts";

/** What a task and all that it called have spent, held against what it was given. */
export class Meter {
  readonly #given: Budget;
  readonly #counted = new WeakSet<AgentEvent>();
  #tokens = 0;
  #calls = 0;

  constructor(given: Budget) {
    this.#given = given;
  }

  get tokens(): number {
    return this.#tokens;
  }

  get calls(): number {
    return this.#calls;
  }

  /** What is left; no bound where there was none. */
  get left(): Budget {
    const { tokens, calls } = this.#given;
    return {
      tokens: tokens && Math.max(0, tokens - this.#tokens),
      calls: calls && Math.max(0, calls - this.#calls),
    };
  }

  /** Counts an event's tokens, once however many agents hand it on. @returns how many. */
  count(event: AgentEvent): number {
    if (event.case !== "usage" || this.#counted.has(event)) return 0;
    this.#counted.add(event);
    const tokens = event.value.promptTokens + event.value.completionTokens;
    this.#tokens += tokens;
    return tokens;
  }

  /** Counts a call that begins. @throws ConnectError RESOURCE_EXHAUSTED, naming it, when nothing is left for it. */
  call(name: string): void {
    const { tokens, calls } = this.left;
    if (tokens === 0) throw usedUp("tokens", `the budget of ${this.#given.tokens} tokens is used up: ${name}`);
    if (calls === 0) throw usedUp("calls", `the budget of ${this.#given.calls} calls is used up: ${name}`);
    this.#calls++;
  }

  /** Counts what a call has spent beyond the tokens that were counted while it went on. */
  add({ tokens, calls }: Pick<Spending, "tokens" | "calls">, countedTokens: number): void {
    this.#tokens += Math.max(0, tokens - countedTokens);
    this.#calls += calls;
  }
}

function usedUp(subject: string, description: string) {
  return resourceExhausted({ subject, description });
}

import type { TaskResponse } from "../contract/index.ts";
import type { CallBudget } from "../web/index.ts";

/** What the runs of one task have spent of a budget: each run counts from nothing. */
export class Spent {
  readonly #given: CallBudget | undefined;
  #usage = 0;
  #spending = { tokens: 0, calls: 0 };
  #tokens = 0;

  constructor(given: CallBudget | undefined) {
    this.#given = given;
  }

  get left(): CallBudget | undefined {
    if (this.#given === undefined) return undefined;
    const { tokens, calls, ...rest } = this.#given;
    return {
      ...rest,
      ...(tokens !== undefined && { tokens: Math.max(0, tokens - this.#tokens) }),
      ...(calls !== undefined && { calls: Math.max(0, calls - this.#spending.calls) }),
    };
  }

  /** Counts the answer of a run, which tells of those before, too. `spending` holds the tokens of those runs alone that called other agents. */
  count({ usage, spending }: TaskResponse): void {
    const used = (usage?.promptTokens ?? 0) + (usage?.completionTokens ?? 0);
    const { tokens, calls } = spending ?? this.#spending;
    this.#tokens += calls > this.#spending.calls ? tokens - this.#spending.tokens : used - this.#usage;
    this.#usage = used;
    this.#spending = { tokens, calls };
  }
}

import { blockFor, type Guardrail } from "./guardrail.ts";

/** Bounds of one task, each a whole number of 0 or more. What is not said has no bound. */
export interface ResultBudget {
  /** Model tokens, read and written, of the task and, where it says so, of all that it called. */
  readonly tokens?: number;
  /** Calls of tools. */
  readonly toolCalls?: number;
  /** Characters of the answer's text, as JavaScript counts them (UTF-16). */
  readonly chars?: number;
}

/** Blocks a result that cost more, or is longer, than it may. @throws RangeError for a bound that is no whole number of 0 or more. */
export function withinBudget(budget: ResultBudget): Guardrail {
  const { tokens, toolCalls, chars } = budget;
  for (const [name, value] of Object.entries({ tokens, toolCalls, chars })) {
    if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) continue;
    throw new RangeError(`${name} is ${value}; it must be a whole number of 0 or more`);
  }
  return {
    name: "withinBudget",
    check({ content, spending }, trace) {
      let used = 0;
      let calls = 0;
      for (const event of trace) {
        if (event.case === "usage") used += event.value.promptTokens + event.value.completionTokens;
        if (event.case === "toolCall") calls++;
      }
      const over = (what: string, count: number, most = Number.POSITIVE_INFINITY) =>
        count > most ? [`${count} ${what} are over the budget of ${most}`] : [];
      return blockFor([
        ...over("tokens", Math.max(used, spending?.tokens ?? 0), tokens),
        ...over("tool calls", calls, toolCalls),
        ...over("characters", content.length, chars),
      ]);
    },
  };
}

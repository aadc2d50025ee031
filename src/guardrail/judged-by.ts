import type { LanguageModel } from "ai";
import { Status } from "../contract/index.ts";
import { blockFor, type Guardrail } from "./guardrail.ts";
import type { Judge } from "./judge.ts";
import { modelJudge } from "./model-judge.ts";

export interface JudgedByOptions {
  /** Default: the answer does what the task asks, and contradicts neither itself nor the task. */
  readonly criteria?: string;
}

const defaultCriteria = "The answer does what the task asks, and contradicts neither itself nor the task.";

/**
 * Blocks an answer that a judge does not let pass. A task that waits for tool results and has not begun its answer passes.
 *
 * @param by a model of the AI SDK, which is told task, answer and criteria, or a judge of your own. A model that fails, or replies with something else,
 *   blocks; its tokens are not the task's.
 */
export function judgedBy(by: Judge | LanguageModel, { criteria = defaultCriteria }: JudgedByOptions = {}): Guardrail {
  const judge = typeof by === "function" ? by : modelJudge(by);
  return {
    name: "judgedBy",
    async check({ content: answer, status }, _trace, { task, signal }) {
      if (status === Status.REQUIRES_TOOL_CALL && answer.trim() === "") return { outcome: "pass" };
      const { pass, reason } = await judge({ task, answer, criteria }, { signal });
      if (typeof pass !== "boolean" || typeof reason !== "string") throw new TypeError("the judge gave no { pass, reason }");
      return blockFor(pass ? [] : [reason]);
    },
  };
}

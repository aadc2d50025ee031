import { Status } from "../contract/index.ts";
import { blockFor, type Guardrail } from "./guardrail.ts";

/** What a judge is asked. */
export interface JudgeQuestion {
  /** What the task asked; empty where that is not known. */
  readonly task: string;
  readonly answer: string;
  /** What the answer has to be. */
  readonly criteria: string;
}

/** What a judge says. */
export interface Judgement {
  readonly pass: boolean;
  /** Why, in one sentence; the caller reads it when the answer does not pass. */
  readonly reason: string;
}

/** Whoever judges answers: a model, another agent, a program. Heeds the signal. */
export type Judge = (question: JudgeQuestion, options: { readonly signal: AbortSignal }) => Promise<Judgement>;

export interface JudgedByOptions {
  /** Default: the answer does what the task asks, and contradicts neither itself nor the task. */
  readonly criteria?: string;
}

const defaultCriteria = "The answer does what the task asks, and contradicts neither itself nor the task.";

/** Blocks an answer that a judge does not let pass. A task that waits for tool results and has not begun its answer passes. */
export function judgedBy(judge: Judge, { criteria = defaultCriteria }: JudgedByOptions = {}): Guardrail {
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

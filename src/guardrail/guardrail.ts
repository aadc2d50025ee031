import type { TaskResponse, ToolDefinition } from "../contract/index.ts";
import type { AgentEvent } from "../core/index.ts";

/**
 * A check of a result before it is used.
 *
 * It keeps nothing between checks: one guardrail checks many results at once. A check that waits heeds `context.signal`.
 */
export interface Guardrail {
  /** What errors call it. */
  readonly name: string;
  /**
   * Looks at a result, together with all that led to it. A check that throws, gives no verdict, or takes too long, blocks.
   *
   * @param result as the guardrails before left it. With REQUIRES_TOOL_CALL, what there is before the caller has run its tools.
   * @param trace the task's events in order, those that a restart made void left out; its texts joined are `result.content`.
   */
  check(result: Readonly<TaskResponse>, trace: readonly AgentEvent[], context: GuardrailContext): Verdict | Promise<Verdict>;
}

/** What a check may need beside result and trace. */
export interface GuardrailContext {
  /** What the task asked. Empty where that is not known, as when a task is continued or attached to. */
  readonly task: string;
  /** The tools that the caller offers. */
  readonly availableTools: readonly ToolDefinition[];
  /** Aborted when nobody waits for the verdict any more. */
  readonly signal: AbortSignal;
  /** Milliseconds that the check may take; of {@link verify}, all checks together. */
  readonly timeoutMs: number;
}

/** What a check comes to. Each reason is a sentence that names the claim or the place that it is about; callers read them. */
export type Verdict =
  | { readonly outcome: "pass" }
  | {
      readonly outcome: "amend";
      /** What is used instead: another text, or another result, of which text and citations count. */
      readonly result: string | TaskResponse;
      readonly reasons: readonly string[];
    }
  | { readonly outcome: "block"; readonly reasons: readonly string[] };

/** The verdict of a check that has found these faults: none passes. */
export function blockFor(reasons: readonly string[]): Verdict {
  return reasons.length === 0 ? { outcome: "pass" } : { outcome: "block", reasons };
}

/** The beginning of a text, in quotation marks, for a reason. */
export function quoted(text: string, maxChars: number): string {
  const line = text.trim().replace(/\s+/g, " ");
  return `"${line.length > maxChars ? `${line.slice(0, maxChars)}…` : line}"`;
}

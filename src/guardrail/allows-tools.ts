import type { ToolCall } from "../contract/index.ts";
import { guardrailBounds } from "../core/index.ts";
import { blockFor, type Guardrail, quoted } from "./guardrail.ts";

/** Blocks a task that called another tool than these, or made a call that the predicate does not allow. */
export function allowsTools(allowed: readonly string[] | ((call: ToolCall) => boolean)): Guardrail {
  const isAllowed = typeof allowed === "function" ? allowed : ({ toolName }: ToolCall) => allowed.includes(toolName);
  return {
    name: "allowsTools",
    check({ toolCalls }, trace) {
      const calls = [...trace.flatMap((event) => (event.case === "toolCall" ? [event.value] : [])), ...toolCalls];
      const refused = calls.filter((call) => isAllowed(call) !== true);
      return blockFor([...new Set(refused.map(reasonOf))]);
    },
  };
}

function reasonOf({ toolName, callId }: ToolCall): string {
  return `the call ${quoted(callId, guardrailBounds.maxClaimChars)} of the tool ${quoted(toolName, 64)} is not allowed`;
}

import type { ToolCall, ToolDefinition, ToolResult } from "../contract/index.ts";
import { valid } from "./answer.ts";
import type { KeptEvent } from "./log.ts";

/** Tool calls, in order, whose tool is among `tools` and whose result is still awaited. */
export function openToolCalls(events: readonly KeptEvent[], tools: readonly ToolDefinition[]): ToolCall[] {
  const answered = new Set(toolResults(events).map((result) => result.callId));
  const offered = new Set(tools.map((tool) => tool.name));
  const calls = valid(events).flatMap((event) => (typeof event === "object" && event.case === "toolCall" ? [event.value] : []));
  return calls.filter((call) => offered.has(call.toolName) && !answered.has(call.callId));
}

export function toolResults(events: readonly KeptEvent[]): ToolResult[] {
  if (events.length === 0) return []; // as nearly every task begins
  return valid(events).flatMap((event) => (typeof event === "object" && event.case === "toolResult" ? [event.value] : []));
}

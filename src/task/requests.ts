import type { Input, InputRequest, ToolCall, ToolDefinition, ToolResult } from "../contract/index.ts";
import type { TaskEvent } from "../core/index.ts";
import type { KeptEvent } from "./log.ts";
import { valid } from "./valid.ts";

/** What a task waits for. */
export interface OpenRequests {
  /** Tool calls, in order, whose tool the caller offers and whose result is awaited. */
  readonly toolCalls: readonly ToolCall[];
  /** What somebody is asked for, in order. */
  readonly inputs: readonly InputRequest[];
}

/** @param tools those that the caller offers. */
export function openRequests(events: readonly KeptEvent[], tools: readonly ToolDefinition[]): OpenRequests {
  return { toolCalls: openToolCalls(events, tools), inputs: openInputs(events) };
}

function openToolCalls(events: readonly KeptEvent[], tools: readonly ToolDefinition[]): ToolCall[] {
  if (tools.length === 0) return [];
  const answered = new Set(toolResults(events).map((result) => result.callId));
  const offered = new Set(tools.map((tool) => tool.name));
  return valuesOf(events, "toolCall").filter((call) => offered.has(call.toolName) && !answered.has(call.callId));
}

function openInputs(events: readonly KeptEvent[]): InputRequest[] {
  const asked = valuesOf(events, "inputRequest");
  if (asked.length === 0) return asked; // as nearly always
  const answered = new Set(inputs(events).map((input) => input.inputId));
  return asked.filter(({ inputId }) => !answered.has(inputId));
}

export function toolResults(events: readonly KeptEvent[]): ToolResult[] {
  return valuesOf(events, "toolResult");
}

export function inputs(events: readonly KeptEvent[]): Input[] {
  return valuesOf(events, "input");
}

/** What the agent that the conversation was handed to last was found by. */
export function lastHandoff(events: readonly KeptEvent[]): string | undefined {
  return valuesOf(events, "handoff").at(-1)?.capability;
}

type ValueOf<Case extends TaskEvent["case"]> = Extract<TaskEvent, { case: Case }>["value"];

function valuesOf<Case extends TaskEvent["case"]>(events: readonly KeptEvent[], kind: Case): ValueOf<Case>[] {
  const values: ValueOf<Case>[] = [];
  if (events.length === 0) return values; // nothing, as nearly every task begins
  for (const event of valid(events)) {
    if (typeof event === "object" && event.case === kind) values.push(event.value as ValueOf<Case>); // of its kind
  }
  return values;
}

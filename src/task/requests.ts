import type { Input, InputRequest, ToolCall, ToolDefinition, ToolResult } from "../contract/index.ts";
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
  const calls = messages(events).flatMap((event) => (event.case === "toolCall" ? [event.value] : []));
  return calls.filter((call) => offered.has(call.toolName) && !answered.has(call.callId));
}

function openInputs(events: readonly KeptEvent[]): InputRequest[] {
  const asked = messages(events).flatMap((event) => (event.case === "inputRequest" ? [event.value] : []));
  if (asked.length === 0) return asked; // as nearly always
  const answered = new Set(inputs(events).map((input) => input.inputId));
  return asked.filter(({ inputId }) => !answered.has(inputId));
}

export function toolResults(events: readonly KeptEvent[]): ToolResult[] {
  return messages(events).flatMap((event) => (event.case === "toolResult" ? [event.value] : []));
}

export function inputs(events: readonly KeptEvent[]): Input[] {
  return messages(events).flatMap((event) => (event.case === "input" ? [event.value] : []));
}

/** What the agent that the conversation was handed to last was found by. */
export function lastHandoff(events: readonly KeptEvent[]): string | undefined {
  return messages(events)
    .flatMap((event) => (event.case === "handoff" ? [event.value.capability] : []))
    .at(-1);
}

/** Those that are more than text. */
function messages(events: readonly KeptEvent[]): Exclude<KeptEvent, string>[] {
  return events.length === 0 ? [] : valid(events).filter((event) => typeof event === "object"); // nothing, as nearly every task begins
}

import type { Input, TaskRequest, ToolResult } from "../contract/index.ts";
import { type AgentEvent, type FieldViolation, invalidArgument } from "../core/index.ts";
import type { TaskRecord } from "./record.ts";

/** What a task that waits is given. */
export interface Given {
  readonly toolResults: readonly ToolResult[];
  readonly inputs: readonly Input[];
}

/** True when there is something to go on with. */
export function continues({ toolResults, inputs }: Given): boolean {
  return toolResults.length > 0 || inputs.length > 0;
}

/** What is given, as events of the task. */
export function givenEvents({ toolResults, inputs }: Given): AgentEvent[] {
  return [
    ...toolResults.map((value): AgentEvent => ({ case: "toolResult", value })),
    ...inputs.map((value): AgentEvent => ({ case: "input", value })),
  ];
}

/** True when all has been given before, the same: the caller repeats a call whose answer it missed. */
export function alreadyGiven(record: TaskRecord, { toolResults, inputs }: Given): boolean {
  const results = new Map(record.toolResults().map((result) => [result.callId, result.resultJson]));
  const known = new Map(record.inputs().map((input) => [input.inputId, input]));
  const isKnown = ({ inputId, approved, text }: Input) =>
    known.get(inputId)?.approved === approved && known.get(inputId)?.text === text;
  return toolResults.every(({ callId, resultJson }) => results.get(callId) === resultJson) && inputs.every(isKnown);
}

/** True when all that a task waits for is among it, or more. */
export function isComplete(record: TaskRecord, given: Given): boolean {
  const open = record.openRequests();
  return given.toolResults.length >= open.toolCalls.length && given.inputs.length >= open.inputs.length;
}

/** @throws ConnectError INVALID_ARGUMENT when it is not what the task waits for. */
export function checkGiven(record: TaskRecord, { toolResults, inputs }: Pick<TaskRequest, "toolResults" | "inputs">): void {
  const open = record.openRequests();
  const results = toolResults.map(({ callId }) => callId);
  const answers = inputs.map(({ inputId }) => inputId);
  const violations = [
    ...unasked("tool_results", "call_id", {
      ids: results,
      open: open.toolCalls.map(({ callId }) => callId),
      what: "tool call",
    }),
    ...unasked("inputs", "input_id", {
      ids: answers,
      open: open.inputs.map(({ inputId }) => inputId),
      what: "request for input",
    }),
  ];
  for (const [index, { inputId, approved }] of inputs.entries()) {
    const asked = open.inputs.find((request) => request.inputId === inputId);
    if (asked?.toolCall !== undefined && approved === undefined)
      violations.push({ field: `inputs[${index}].approved`, description: "is missing; say whether the tool may be called" });
  }
  if (violations.length > 0) throw invalidArgument(violations);
}

interface Answered {
  readonly ids: readonly string[];
  readonly open: readonly string[];
  readonly what: string;
}

function unasked(field: string, key: string, { ids, open, what }: Answered): FieldViolation[] {
  const violations = ids.flatMap((id, index) => {
    const description = `"${id}" is no open ${what}; open are ${open.join(", ")}`;
    return open.includes(id) ? [] : [{ field: `${field}[${index}].${key}`, description }];
  });
  const missing = open.filter((id) => !ids.includes(id));
  if (missing.length === 0) return violations;
  const lacking = field === "inputs" ? "the answers to" : "the results of";
  return [...violations, { field, description: `lacks ${lacking} ${missing.join(", ")}` }];
}

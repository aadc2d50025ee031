import type { ToolResult } from "../contract/index.ts";
import { invalidArgument } from "../core/index.ts";
import type { TaskRecord } from "./record.ts";

/** True when every result has been given before, the same: the caller repeats a call whose answer it missed. */
export function alreadyGiven(record: TaskRecord, results: readonly ToolResult[]): boolean {
  const given = new Map(record.toolResults().map((result) => [result.callId, result.resultJson]));
  return results.every((result) => given.get(result.callId) === result.resultJson);
}

/** @throws ConnectError INVALID_ARGUMENT when results answer other calls than those that are open. */
export function checkAnswers(record: TaskRecord, results: readonly ToolResult[]): void {
  const open = record.openToolCalls().map((call) => call.callId);
  const answered = new Set(results.map((result) => result.callId));
  const violations = results
    .map((result, index) => ({ field: `tool_results[${index}].call_id`, callId: result.callId }))
    .filter(({ callId }) => !open.includes(callId))
    .map(({ field, callId }) => ({ field, description: `"${callId}" is no open tool call; open are ${open.join(", ")}` }));
  const missing = open.filter((callId) => !answered.has(callId));
  if (missing.length > 0) violations.push({ field: "tool_results", description: `lacks the results of ${missing.join(", ")}` });
  if (violations.length > 0) throw invalidArgument(violations);
}

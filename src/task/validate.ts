import type { StartTurn, TaskRequest, ToolDefinition, ToolResult } from "../contract/index.ts";
import { type FieldViolation, invalidArgument, type Limits } from "../core/index.ts";

const idPattern = /^[\x21-\x7e]*$/;
const toolNamePattern = /^[A-Za-z0-9_.-]{1,64}$/;

/** @throws ConnectError INVALID_ARGUMENT that names every field of the request that is wrong. */
export function validateTaskRequest(request: TaskRequest, limits: Limits): void {
  const violations = [
    ...checkId("task_id", request.taskId, limits),
    ...checkId("agent_id", request.agentId, limits),
    ...checkId("conversation_id", request.conversationId, limits),
    ...(request.toolResults.length === 0 ? checkContent("content", request.content) : []),
    ...checkMetadata("metadata", request.metadata, limits),
    ...checkTools("available_tools", request.availableTools, limits),
    ...checkToolResults("tool_results", request.toolResults, limits),
  ];
  if (request.fromIndex < 0) {
    violations.push({ field: "from_index", description: `is ${request.fromIndex}; it must be 0 or more` });
  }
  if (request.toolResults.length > 0 && request.taskId === "") {
    violations.push({ field: "task_id", description: "is missing; tool_results need the task that they continue" });
  }
  if (violations.length > 0) throw invalidArgument(violations);
}

/** @throws ConnectError INVALID_ARGUMENT that names every field of the turn that is wrong. */
export function validateTurn(turn: StartTurn, limits: Limits): void {
  const violations = [
    ...checkId("start_turn.task_id", turn.taskId, limits),
    ...checkContent("start_turn.content", turn.content),
    ...checkMetadata("start_turn.metadata", turn.metadata, limits),
    ...checkTools("start_turn.available_tools", turn.availableTools, limits),
  ];
  if (violations.length > 0) throw invalidArgument(violations);
}

/** @throws ConnectError INVALID_ARGUMENT when the id is missing or malformed. */
export function validateTaskId(taskId: string, limits: Limits): void {
  const violations = checkId("task_id", taskId, limits);
  if (taskId === "") violations.push({ field: "task_id", description: "is missing; name the task" });
  if (violations.length > 0) throw invalidArgument(violations);
}

/** What is wrong with an id that may be empty. */
export function checkId(field: string, id: string, { maxIdChars }: Limits): FieldViolation[] {
  if (id.length > maxIdChars) {
    return [{ field, description: `has ${id.length} characters; at most ${maxIdChars} are allowed` }];
  }
  return idPattern.test(id) ? [] : [{ field, description: "must be printable ASCII without spaces" }];
}

/** What is wrong with tool results, taken by themselves. */
export function checkToolResults(field: string, results: readonly ToolResult[], limits: Limits): FieldViolation[] {
  if (results.length > limits.maxTools) return [tooMany(field, results.length, limits.maxTools)];
  return results.flatMap((result, index) => [
    ...checkId(`${field}[${index}].call_id`, result.callId, limits),
    ...(result.callId === "" ? [{ field: `${field}[${index}].call_id`, description: "is missing; name the tool call" }] : []),
    ...(result.isError || isJson(result.resultJson) ? [] : [notJson(`${field}[${index}].result_json`, "JSON")]),
  ]);
}

function checkContent(field: string, content: string): FieldViolation[] {
  return content.trim() === "" ? [{ field, description: "is missing; say what is asked" }] : [];
}

function checkMetadata(field: string, metadata: Record<string, string>, limits: Limits): FieldViolation[] {
  const entries = Object.entries(metadata);
  if (entries.length > limits.maxMetadataEntries) return [tooMany(field, entries.length, limits.maxMetadataEntries)];
  return entries.flatMap(([key, value]) => {
    if (key === "" || key.length > limits.maxMetadataKeyChars) {
      return [{ field, description: `has a key of ${key.length} characters; 1 to ${limits.maxMetadataKeyChars} are allowed` }];
    }
    if (value.length <= limits.maxMetadataValueChars) return [];
    const description = `has ${value.length} characters; at most ${limits.maxMetadataValueChars} are allowed`;
    return [{ field: `${field}["${key}"]`, description }];
  });
}

function checkTools(field: string, tools: readonly ToolDefinition[], limits: Limits): FieldViolation[] {
  if (tools.length > limits.maxTools) return [tooMany(field, tools.length, limits.maxTools)];
  const names = new Set<string>();
  return tools.flatMap((tool, index) => {
    const violations: FieldViolation[] = [];
    const at = `${field}[${index}]`;
    if (!toolNamePattern.test(tool.name)) {
      violations.push({ field: `${at}.name`, description: "must be 1 to 64 of A-Z a-z 0-9 _ . -" });
    } else if (names.has(tool.name)) {
      violations.push({ field: `${at}.name`, description: `repeats "${tool.name}"; names must be distinct` });
    }
    names.add(tool.name);
    const schema = tool.parametersJsonSchema;
    if (schema !== "" && !isJson(schema, isPlainObject))
      violations.push(notJson(`${at}.parameters_json_schema`, "a JSON object"));
    return violations;
  });
}

function tooMany(field: string, count: number, most: number): FieldViolation {
  return { field, description: `has ${count} entries; at most ${most} are allowed` };
}

function notJson(field: string, what: string): FieldViolation {
  return { field, description: `must be ${what} in text form` };
}

function isJson(text: string, holds: (value: unknown) => boolean = () => true): boolean {
  try {
    return holds(JSON.parse(text));
  } catch {
    return false;
  }
}

function isPlainObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

import type { Input, StartTurn, TaskRequest, ToolDefinition, ToolResult } from "../contract/index.ts";
import { type FieldViolation, invalidArgument, type Limits } from "../core/index.ts";
import { continues } from "./given.ts";

const idPattern = /^[\x21-\x7e]*$/;
const toolNamePattern = /^[A-Za-z0-9_.-]{1,64}$/;

/** @throws ConnectError INVALID_ARGUMENT that names every field of the request that is wrong. */
export function validateTaskRequest(request: TaskRequest, limits: Limits): void {
  const check = new Check(limits);
  const isContinued = continues(request);
  check.id("task_id", request.taskId);
  check.id("agent_id", request.agentId);
  check.id("capability", request.capability);
  check.id("conversation_id", request.conversationId);
  if (!isContinued && (request.taskId === "" || request.content !== "")) check.content("content", request.content);
  check.metadata("metadata", request.metadata);
  check.tools("available_tools", request.availableTools);
  check.toolResults("tool_results", request.toolResults);
  check.inputs("inputs", request.inputs);
  if (request.fromIndex < 0) check.refuse("from_index", `is ${request.fromIndex}; it must be 0 or more`);
  if (isContinued && request.taskId === "") {
    check.refuse("task_id", "is missing; tool_results and inputs need the task that they continue");
  }
  check.finish();
}

/** @throws ConnectError INVALID_ARGUMENT that names every field of the turn that is wrong. */
export function validateTurn(turn: StartTurn, limits: Limits): void {
  const check = new Check(limits);
  check.id("start_turn.task_id", turn.taskId);
  check.content("start_turn.content", turn.content);
  check.metadata("start_turn.metadata", turn.metadata);
  check.tools("start_turn.available_tools", turn.availableTools);
  check.finish();
}

/** @throws ConnectError INVALID_ARGUMENT when the id is missing or malformed. */
export function validateTaskId(taskId: string, limits: Limits): void {
  const check = new Check(limits);
  check.id("task_id", taskId);
  if (taskId === "") check.refuse("task_id", "is missing; name the task");
  check.finish();
}

/** @returns how many to give. @throws ConnectError INVALID_ARGUMENT for a page that cannot be. */
export function validatePage({ pageSize, pageToken }: { pageSize: number; pageToken: string }, limits: Limits): number {
  const check = new Check(limits);
  if (pageSize < 0 || pageSize > maxPageSize) check.refuse("page_size", `is ${pageSize}; it must be 0 to ${maxPageSize}`);
  check.id("page_token", pageToken);
  check.finish();
  return pageSize || defaultPageSize;
}

/** Characters of what somebody answers in words. */
const maxInputChars = 65_536;
const maxPageSize = 1_000;
const defaultPageSize = 100;

/** Collects what is wrong with a message, field by field. */
export class Check {
  readonly #limits: Limits;
  #violations: FieldViolation[] | undefined;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  refuse(field: string, description: string): void {
    this.#violations ??= [];
    this.#violations.push({ field, description });
  }

  /** @throws ConnectError INVALID_ARGUMENT that names every field that is wrong. */
  finish(): void {
    if (this.#violations !== undefined) throw invalidArgument(this.#violations);
  }

  /** An id may be empty. */
  id(field: string, id: string): void {
    const { maxIdChars } = this.#limits;
    if (id === "") return;
    if (id.length > maxIdChars) this.refuse(field, `has ${id.length} characters; at most ${maxIdChars} are allowed`);
    else if (!idPattern.test(id)) this.refuse(field, "must be printable ASCII without spaces");
  }

  content(field: string, content: string): void {
    if (content.trim() === "") this.refuse(field, "is missing; say what is asked");
  }

  metadata(field: string, metadata: Record<string, string>): void {
    const { maxMetadataEntries, maxMetadataKeyChars, maxMetadataValueChars } = this.#limits;
    const keys = Object.keys(metadata);
    if (this.#tooMany(field, keys.length, maxMetadataEntries)) return;
    for (const key of keys) {
      const { length } = metadata[key] ?? "";
      if (key === "" || key.length > maxMetadataKeyChars) {
        this.refuse(field, `has a key of ${key.length} characters; 1 to ${maxMetadataKeyChars} are allowed`);
      } else if (length > maxMetadataValueChars) {
        this.refuse(`${field}["${key}"]`, `has ${length} characters; at most ${maxMetadataValueChars} are allowed`);
      }
    }
  }

  tools(field: string, tools: readonly ToolDefinition[]): void {
    if (tools.length === 0 || this.#tooMany(field, tools.length, this.#limits.maxTools)) return;
    const names = new Set<string>();
    for (const [index, { name, parametersJsonSchema: schema }] of tools.entries()) {
      const at = `${field}[${index}]`;
      if (!toolNamePattern.test(name)) this.refuse(`${at}.name`, "must be 1 to 64 of A-Z a-z 0-9 _ . -");
      else if (names.has(name)) this.refuse(`${at}.name`, `repeats "${name}"; names must be distinct`);
      names.add(name);
      if (schema !== "" && !isJson(schema, isPlainObject)) {
        this.refuse(`${at}.parameters_json_schema`, "must be a JSON object in text form");
      }
    }
  }

  /** Tool results, taken by themselves. */
  toolResults(field: string, results: readonly ToolResult[]): void {
    if (results.length === 0 || this.#tooMany(field, results.length, this.#limits.maxTools)) return;
    for (const [index, { callId, isError, resultJson }] of results.entries()) {
      const at = `${field}[${index}]`;
      this.id(`${at}.call_id`, callId);
      if (callId === "") this.refuse(`${at}.call_id`, "is missing; name the tool call");
      if (!isError && !isJson(resultJson)) this.refuse(`${at}.result_json`, "must be JSON in text form");
    }
  }

  /** Input, taken by itself. */
  inputs(field: string, inputs: readonly Input[]): void {
    if (inputs.length === 0 || this.#tooMany(field, inputs.length, this.#limits.maxTools)) return;
    for (const [index, { inputId, text }] of inputs.entries()) {
      const at = `${field}[${index}]`;
      this.id(`${at}.input_id`, inputId);
      if (inputId === "") this.refuse(`${at}.input_id`, "is missing; name the request for input");
      if (text.length > maxInputChars)
        this.refuse(`${at}.text`, `has ${text.length} characters; at most ${maxInputChars} are allowed`);
    }
  }

  #tooMany(field: string, count: number, most: number): boolean {
    if (count > most) this.refuse(field, `has ${count} entries; at most ${most} are allowed`);
    return count > most;
  }
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

import { randomUUID } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  CitationSchema,
  InputRequestSchema,
  SourceRange_Unit,
  TokenUsageSchema,
  type ToolCall,
  ToolCallSchema,
  ToolResultSchema,
} from "../contract/index.ts";
import type { AgentEvent } from "../core/index.ts";

/** A source that the answer rests on. `line` and `sentence` are positions in it: one number, or first and last, from 1. */
export interface CitationInit {
  readonly uri: string;
  readonly title?: string;
  readonly quote?: string;
  readonly line?: number | readonly [first: number, last: number];
  readonly sentence?: number | readonly [first: number, last: number];
}

/** The event that names a source. */
export function citation(init: CitationInit): AgentEvent {
  const { uri, title = "", quote = "", line, sentence } = init;
  const message: MessageInitShape<typeof CitationSchema> = { uri, title, quote };
  if (line !== undefined) message.range = range(SourceRange_Unit.LINE, line);
  else if (sentence !== undefined) message.range = range(SourceRange_Unit.SENTENCE, sentence);
  return { case: "citation", value: create(CitationSchema, message) };
}

/**
 * The event that calls a tool which the caller offered. When `run` returns with such a call unanswered, the task waits
 * (REQUIRES_TOOL_CALL); the caller's results come in `task.toolResults` of the next run.
 *
 * @param call `id` defaults to a random one; `arguments` is any JSON value; `providerState` is kept with it, and told to nobody.
 */
export function toolCall(call: {
  name: string;
  arguments: unknown;
  id?: string;
  providerState?: string | undefined;
}): Extract<AgentEvent, { case: "toolCall" }> {
  const { id: callId = randomUUID(), name: toolName, arguments: value, providerState } = call;
  const argumentsJson = JSON.stringify(value) ?? "null";
  return {
    case: "toolCall",
    value: create(ToolCallSchema, { callId, toolName, argumentsJson, ...(providerState !== undefined && { providerState }) }),
  };
}

/** The event that says what a tool gave. @param result `json` is JSON in text form; with `isError`, a sentence about what went wrong. */
export function toolResult(result: { callId: string; json: string; isError?: boolean }): AgentEvent {
  const { callId, json: resultJson, isError = false } = result;
  return { case: "toolResult", value: create(ToolResultSchema, { callId, resultJson, isError }) };
}

/**
 * The event that asks somebody for something. When `run` returns with such a request unanswered, the task waits (REQUIRES_INPUT), for as long as it is
 * kept; what was given comes in `task.inputs` of the next run.
 *
 * @param request `id` defaults to a random one; `toolCall` asks leave to call a tool.
 */
export function inputRequest(request: { prompt: string; id?: string; toolCall?: ToolCall }): AgentEvent {
  const { id: inputId = randomUUID(), prompt, toolCall } = request;
  return { case: "inputRequest", value: create(InputRequestSchema, { inputId, prompt, ...(toolCall && { toolCall }) }) };
}

/** The event that counts model tokens used since the last one. */
export function usage(tokens: { prompt: number; completion: number }): AgentEvent {
  const { prompt: promptTokens = 0, completion: completionTokens = 0 } = tokens;
  return { case: "usage", value: { $typeName: TokenUsageSchema.typeName, promptTokens, completionTokens } }; // as `create` would
}

function range(unit: SourceRange_Unit, position: number | readonly [first: number, last: number]) {
  const [start, end] = typeof position === "number" ? [position, position] : position;
  return { unit, start, end };
}

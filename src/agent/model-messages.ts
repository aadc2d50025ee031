import type { AssistantModelMessage, ModelMessage, ToolModelMessage } from "ai";
import type { ToolResult } from "../contract/index.ts";
import type { AgentEvent } from "../core/index.ts";
import type { Task } from "./define.ts";
import { addState } from "./model-state.ts";

/** What the model is told: the turns before, the question, and what it has said and its tools have given before the task was continued. */
export function messagesOf({ conversation, content, events }: Task): ModelMessage[] {
  const messages: ModelMessage[] = [];
  for (const turn of conversation?.turns ?? []) {
    messages.push({ role: "user", content: turn.content });
    if (turn.answer !== "") messages.push({ role: "assistant", content: turn.answer }); // providers refuse empty ones
  }
  messages.push({ role: "user", content });
  const names = new Map<string, string>();
  for (const event of events) addEvent(messages, event, names);
  addApprovals(messages, events);
  return messages;
}

/** Calls that somebody was asked to allow and that have not been made: the AI SDK makes them first, or tells the model that they are not allowed. */
function addApprovals(messages: ModelMessage[], events: readonly AgentEvent[]): void {
  const made = new Set(events.flatMap((event) => (event.case === "toolResult" ? [event.value.callId] : [])));
  const answers = new Map(events.flatMap((event) => (event.case === "input" ? [[event.value.inputId, event.value]] : [])));
  for (const event of events) {
    if (event.case !== "inputRequest" || event.value.toolCall === undefined) continue;
    const { inputId: approvalId, toolCall } = event.value;
    const answer = answers.get(approvalId);
    if (made.has(toolCall.callId) || answer === undefined) continue;
    const { approved = false, text: reason } = answer;
    callOf(messages, toolCall.callId)?.push({ type: "tool-approval-request", approvalId, toolCallId: toolCall.callId });
    toolParts(messages).push({ type: "tool-approval-response", approvalId, approved, ...(reason !== "" && { reason }) });
  }
}

/** The message that made a call. */
function callOf(messages: readonly ModelMessage[], callId: string): AssistantParts | undefined {
  for (const { role, content } of messages) {
    if (role !== "assistant" || typeof content === "string") continue;
    if (content.some((part) => part.type === "tool-call" && part.toolCallId === callId)) return content;
  }
  return undefined;
}

/** @param names of the tools that were called, by the calls' ids. */
function addEvent(messages: ModelMessage[], event: AgentEvent, names: Map<string, string>): void {
  if (event.case === "text") {
    const parts = assistantParts(messages);
    const last = parts.at(-1);
    if (last?.type === "text") last.text += event.value;
    else parts.push({ type: "text", text: event.value });
  } else if (event.case === "toolCall") {
    const { callId: toolCallId, toolName, argumentsJson, providerState } = event.value;
    names.set(toolCallId, toolName);
    const parts = assistantParts(messages);
    const providerOptions = addState(parts, providerState);
    const call = { type: "tool-call", toolCallId, toolName, input: JSON.parse(argumentsJson) } as const; // one kind of several
    parts.push(providerOptions === undefined ? call : { ...call, providerOptions });
  } else if (event.case === "toolResult") {
    const { callId: toolCallId } = event.value;
    const toolName = names.get(toolCallId);
    if (toolName === undefined) return; // of a tool that its model did not call
    toolParts(messages).push({ type: "tool-result", toolCallId, toolName, output: outputOf(event.value) });
  }
}

function outputOf({ resultJson, isError }: ToolResult) {
  if (isError) return { type: "error-text", value: resultJson } as const;
  return { type: "json", value: JSON.parse(resultJson) } as const;
}

type AssistantParts = Exclude<AssistantModelMessage["content"], string>;

function assistantParts(messages: ModelMessage[]): AssistantParts {
  const last = messages.at(-1);
  if (last?.role === "assistant" && typeof last.content !== "string") return last.content;
  const content: AssistantParts = [];
  messages.push({ role: "assistant", content });
  return content;
}

function toolParts(messages: ModelMessage[]): ToolModelMessage["content"] {
  const last = messages.at(-1);
  if (last?.role === "tool") return last.content;
  const content: ToolModelMessage["content"] = [];
  messages.push({ role: "tool", content });
  return content;
}

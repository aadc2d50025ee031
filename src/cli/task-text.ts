import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Input, type InputRequest, Status, type Task, type TokenChunk, type TokenUsage } from "../contract/index.ts";
import { codeName } from "../wire/index.ts";
import { createTable, printable, sourceLine, sourceList, type Table } from "./print.ts";

const statusNames: Record<Status, string> = {
  [Status.UNSPECIFIED]: "",
  [Status.COMPLETED]: "completed",
  [Status.REQUIRES_TOOL_CALL]: "waits for tool results",
  [Status.REQUIRES_INPUT]: "waits for input",
  [Status.ERROR]: "failed",
  [Status.RUNNING]: "running",
  [Status.CANCELLED]: "cancelled",
};

export function createTaskTable(): Table {
  return createTable(["TASK", "AGENT", "STATUS", "BEGAN", "TOOK"]);
}

/** A task as a row of {@link createTaskTable}. @param nowMs milliseconds since the epoch. */
export function taskRow(task: Task, nowMs: number): string[] {
  return [task.taskId, task.agentId, statusNames[task.status], beginOf(task), timeOf(task, nowMs)];
}

/** All that is known of a task, and what it has answered so far. */
export function taskDetails(task: Task, nowMs: number): string {
  const { taskId, agentId, status, nextIndex, conversationId, response, error } = task;
  const { content = "", usage, citations = [], inputRequests = [] } = response ?? {};
  const facts = {
    task: taskId,
    agent: agentId,
    status: statusNames[status],
    error: error === undefined ? "" : printable(`${error.message} (${codeName(error.code)})`),
    began: beginOf(task),
    took: timeOf(task, nowMs),
    events: String(nextIndex),
    tokens: usage === undefined ? "" : tokensOf(usage),
    conversation: conversationId,
    asks: printable(inputRequests.map(requestText).join("; ")),
  };
  const lines = Object.entries(facts).flatMap(([name, fact]) => (fact === "" ? [] : [`${name.padEnd(12)}  ${fact}\n`]));
  const answer = content.trim() === "" ? "" : `\n${content.trimEnd()}\n`;
  return `${lines.join("")}${answer}${sourceList(citations)}`;
}

/** What a task has come to after it was to be cancelled. */
export function cancelLine({ taskId, status }: Task): string {
  const is = statusNames[status];
  return `${taskId} ${status === Status.CANCELLED ? `is ${is}` : `had ended before: ${is}`}\n`;
}

/** An event that is no text, in one line; empty for text, and for what there is nothing to say of. */
export function eventLine(chunk: TokenChunk): string {
  const what = eventText(chunk);
  return what === "" ? "" : `· ${printable(what.replace(/\s+/g, " "))}\n`;
}

function eventText(chunk: TokenChunk): string {
  const {
    toolCall,
    toolResult,
    citation,
    guardrailBlock,
    handoff,
    inputRequest,
    input,
    usage,
    restartedFrom,
    status,
    elapsedMs,
    index,
  } = chunk;
  if (toolCall !== undefined) return `calls the tool ${toolCall.toolName} ${toolCall.argumentsJson} (${toolCall.callId})`;
  if (toolResult !== undefined) {
    return `${toolResult.callId} ${toolResult.isError ? "failed" : "answered"}: ${toolResult.resultJson}`;
  }
  if (citation !== undefined) return `cites ${sourceLine(citation)}`;
  if (guardrailBlock !== undefined) return `${guardrailBlock.guardrail} blocks: ${guardrailBlock.reasons.join("; ")}`;
  if (handoff !== undefined) return `hands on to ${handoff.capability}`;
  if (inputRequest !== undefined) return `asks: ${requestText(inputRequest)}`;
  if (input !== undefined) return inputText(input);
  if (usage !== undefined) return `used ${tokensOf(usage)} tokens`;
  if (restartedFrom !== undefined) {
    const gone = restartedFrom === index ? "nothing" : `what came from event ${restartedFrom} on`;
    return `the server died, and the agent begins anew: ${gone} is void`;
  }
  if (status === Status.UNSPECIFIED) return "";
  return `${statusNames[status]}${elapsedMs === undefined ? "" : ` after ${durationText(elapsedMs)}`}`;
}

function requestText({ inputId, prompt, toolCall }: InputRequest): string {
  return `${prompt}${toolCall === undefined ? "" : ` ${toolCall.argumentsJson}`} (${inputId})`;
}

function inputText({ inputId, approved, text }: Input): string {
  const verdict = approved === undefined ? "answered" : approved ? "approved" : "denied";
  return `${inputId} ${verdict}${text === "" ? "" : `: ${text}`}`;
}

function beginOf({ createTime }: Task): string {
  return createTime === undefined ? "" : new Date(timestampMs(createTime)).toISOString();
}

/** How long it took, or has been at work so far; empty while it waits for its caller. */
function timeOf({ createTime, endTime, status }: Task, nowMs: number): string {
  if (createTime === undefined) return "";
  if (endTime !== undefined) return durationText(timestampMs(endTime) - timestampMs(createTime));
  return status === Status.RUNNING ? `${durationText(nowMs - timestampMs(createTime))} so far` : "";
}

function tokensOf({ promptTokens, completionTokens }: TokenUsage): string {
  return `${promptTokens} + ${completionTokens}`;
}

/** A time for people: two numbers at most. Clocks of several machines may make it less than nothing. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, ms) / 1_000;
  if (seconds < 1) return `${Math.round(seconds * 1_000)}ms`;
  if (seconds < 60) return `${Math.floor(seconds * 10) / 10}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${Math.floor(seconds % 60)}s`;
  return `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
}

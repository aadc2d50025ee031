import {
  type Citation,
  type Status,
  type TaskResponse,
  TaskResponseSchema,
  TokenUsageSchema,
  type ToolCall,
} from "../contract/index.ts";
import type { KeptEvent } from "./log.ts";

/** What an answer says beside what its events do. */
export interface AnswerInit {
  readonly taskId: string;
  readonly status: Status;
  /** The tool calls to tell of. Default: all that the events hold. */
  readonly toolCalls?: ToolCall[] | undefined;
}

/** Events folded into one answer. */
export function foldEvents(events: Iterable<KeptEvent>, { taskId, status, toolCalls: told }: AnswerInit): TaskResponse {
  let content = "";
  let promptTokens = 0;
  let completionTokens = 0;
  const citations: Citation[] = [];
  const toolCalls: ToolCall[] = told ?? [];
  for (const event of events) {
    if (typeof event === "string") content += event;
    else if (event.case === "text") content += event.value;
    else if (event.case === "citation") citations.push(event.value);
    else if (event.case === "toolCall" && told === undefined) toolCalls.push(event.value);
    else if (event.case === "usage") {
      promptTokens += event.value.promptTokens;
      completionTokens += event.value.completionTokens;
    }
  }
  const usage = { $typeName: TokenUsageSchema.typeName, promptTokens, completionTokens };
  // messages as `create` would make them, at a quarter of the price
  return { $typeName: TaskResponseSchema.typeName, taskId, status, content, usage, citations, toolCalls };
}

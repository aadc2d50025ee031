import {
  type Citation,
  type InputRequest,
  type Status,
  type TaskResponse,
  TaskResponseSchema,
  TokenUsageSchema,
  type ToolCall,
} from "../contract/index.ts";
import type { KeptEvent } from "./log.ts";
import { publicCall } from "./public-call.ts";
import type { OpenRequests } from "./requests.ts";
import { valid } from "./valid.ts";

/** What an answer says beside what its events do. */
export interface AnswerInit {
  readonly taskId: string;
  readonly status: Status;
  /** What the task waits for: of tool calls it alone is told. Default: all that the events hold. */
  readonly open?: OpenRequests | undefined;
}

/** Events folded into one answer. */
export function foldEvents(events: readonly KeptEvent[], { taskId, status, open }: AnswerInit): TaskResponse {
  let content = "";
  let promptTokens = 0;
  let completionTokens = 0;
  const citations: Citation[] = [];
  const toolCalls: ToolCall[] = (open?.toolCalls ?? []).map(publicCall);
  const inputRequests: InputRequest[] = [...(open?.inputs ?? [])];
  for (const event of valid(events)) {
    if (typeof event === "string") content += event;
    else if (event.case === "text") content += event.value;
    else if (event.case === "citation") citations.push(event.value);
    else if (event.case === "toolCall" && open === undefined) toolCalls.push(publicCall(event.value));
    else if (event.case === "usage") {
      promptTokens += event.value.promptTokens;
      completionTokens += event.value.completionTokens;
    }
  }
  const usage = { $typeName: TokenUsageSchema.typeName, promptTokens, completionTokens };
  // messages as `create` would make them, at a quarter of the price
  return { $typeName: TaskResponseSchema.typeName, taskId, status, content, usage, citations, toolCalls, inputRequests };
}

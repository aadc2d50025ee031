import {
  type Citation,
  type Status,
  type TaskResponse,
  TaskResponseSchema,
  TokenUsageSchema,
  type ToolCall,
} from "../contract/index.ts";
import type { TaskEvent } from "../core/index.ts";
import type { KeptEvent } from "./log.ts";

/** The events without those that a restart made void. */
export function valid(events: readonly KeptEvent[]): readonly KeptEvent[] {
  if (!events.some(isRestart)) return events; // as nearly always
  const kept: (KeptEvent | undefined)[] = [];
  for (const event of events) {
    kept.push(isRestart(event) ? undefined : event); // the others keep their numbers
    if (isRestart(event)) kept.fill(undefined, event.value.from);
  }
  return kept.filter((event) => event !== undefined);
}

/** Where a reader begins who cannot be told what is void: after what is so from the task's beginning. */
export function firstValid(events: readonly KeptEvent[]): number {
  return events.findLastIndex((event) => isRestart(event) && event.value.from === 0) + 1;
}

function isRestart(event: KeptEvent): event is Extract<TaskEvent, { case: "restart" }> {
  return typeof event === "object" && event.case === "restart";
}

/** What an answer says beside what its events do. */
export interface AnswerInit {
  readonly taskId: string;
  readonly status: Status;
  /** The tool calls to tell of. Default: all that the events hold. */
  readonly toolCalls?: ToolCall[] | undefined;
}

/** Events folded into one answer. */
export function foldEvents(events: readonly KeptEvent[], { taskId, status, toolCalls: told }: AnswerInit): TaskResponse {
  let content = "";
  let promptTokens = 0;
  let completionTokens = 0;
  const citations: Citation[] = [];
  const toolCalls: ToolCall[] = told ?? [];
  for (const event of valid(events)) {
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

import { create, equals } from "@bufbuild/protobuf";
import { type TaskRequest, TaskRequestSchema } from "../contract/index.ts";
import type { TaskRecord } from "./record.ts";

/** True when a request, which has a task's id and is for `agent`, asks what the task was asked. */
export function asksTheSame(record: TaskRecord, request: TaskRequest, agent: string): boolean {
  const { content, conversationId, metadata, tools } = record;
  if (!record.namesTask || record.agent !== agent) return false;
  const asked = questionOf({ content, conversationId, metadata, availableTools: [...tools] });
  return equals(TaskRequestSchema, asked, questionOf(request));
}

/** What counts in a request. */
function questionOf({ content, conversationId, metadata, availableTools }: Question): TaskRequest {
  return create(TaskRequestSchema, { content, conversationId, metadata: { ...metadata }, availableTools });
}

interface Question extends Pick<TaskRequest, "content" | "conversationId" | "availableTools"> {
  readonly metadata: Readonly<Record<string, string>>;
}

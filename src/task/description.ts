import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { SpendingSchema, Status, type Task, type TaskResponse, TaskSchema } from "../contract/index.ts";
import { toRpcStatus } from "../core/index.ts";
import { foldEvents } from "./answer.ts";
import type { TaskRecord } from "./record.ts";

/** A task's log folded into one answer. */
export function responseOf(record: TaskRecord): TaskResponse {
  const { id: taskId, status, spending } = record;
  const toolCalls = status === Status.REQUIRES_TOOL_CALL ? record.openToolCalls() : undefined;
  const answer = foldEvents(record.log.seen, { taskId, status, toolCalls });
  if (spending !== undefined) answer.spending = create(SpendingSchema, spending);
  return answer;
}

/** A task as GetTask shows it. */
export function describeTask(record: TaskRecord): Task {
  const { finish, conversationId } = record;
  const task = create(TaskSchema, {
    taskId: record.id,
    agentId: record.agent,
    status: record.status,
    response: responseOf(record),
    nextIndex: record.log.shown,
    createTime: timestampFromMs(record.createTimeMs),
    conversationId,
  });
  if (finish?.error !== undefined) task.error = toRpcStatus(finish.error);
  if (finish !== undefined && finish.status !== Status.REQUIRES_TOOL_CALL) task.endTime = timestampFromMs(record.endTimeMs);
  return task;
}

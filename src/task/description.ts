import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { SpendingSchema, type Task, type TaskResponse, TaskSchema } from "../contract/index.ts";
import { toRpcStatus } from "../core/index.ts";
import { foldEvents } from "./answer.ts";
import type { TaskRecord } from "./record.ts";
import { waits } from "./status.ts";

/** A task's log folded into one answer. */
export function responseOf(record: TaskRecord): TaskResponse {
  const { id: taskId, status, spending } = record;
  const open = waits(status) ? record.openRequests() : undefined;
  const answer = foldEvents(record.log.seen, { taskId, status, open });
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
  if (finish !== undefined && !waits(finish.status)) task.endTime = timestampFromMs(record.endTimeMs);
  return task;
}

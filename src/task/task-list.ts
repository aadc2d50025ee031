import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { Status, type Task, type TaskLogEntry, TaskSchema } from "../contract/index.ts";
import { toRpcStatus } from "../core/index.ts";
import type { LogInfo, Store } from "../store/index.ts";
import { describeTask } from "./description.ts";
import { beginOf, callerPrefix, readEntry, stepIn } from "./entries.ts";
import type { TaskRecord } from "./record.ts";

export interface TaskListOptions {
  readonly after: string;
  readonly limit: number;
  /** A task that this server has. */
  readonly here: (taskId: string) => TaskRecord | undefined;
}

import { waits } from "./status.ts";

/** A page of a caller's tasks in a store, without their answers; those whose events are gone are left out. */
export async function listTasks(store: Store, caller: string, { after, limit, here }: TaskListOptions): Promise<Task[]> {
  const prefix = callerPrefix(caller);
  const tasks: Task[] = [];
  let last = after === "" ? "" : prefix + after;
  while (tasks.length < limit) {
    const infos = await store.logs(prefix, { limit, ...(last !== "" && { after: last }) });
    for (const info of infos) {
      const taskId = info.name.slice(prefix.length);
      const known = here(taskId);
      const task = known === undefined ? await summaryOf(store, info, taskId) : describeTask(known);
      if (task !== undefined && tasks.length < limit) tasks.push(withoutAnswer(task));
    }
    last = infos.at(-1)?.name ?? last;
    if (infos.length < limit) break;
  }
  return tasks;
}

/** What the first and the last entry tell; undefined when they are gone. */
async function summaryOf(store: Store, { name, length }: LogInfo, taskId: string): Promise<Task | undefined> {
  const first = await entryAt(store, name, 0);
  const last = await entryAt(store, name, length - 1);
  if (first === undefined || last === undefined) return undefined;
  const { agent, createTimeMs, request } = beginOf(name, first);
  const task = create(TaskSchema, {
    taskId,
    agentId: agent,
    status: Status.RUNNING,
    nextIndex: length - 1,
    createTime: timestampFromMs(createTimeMs),
    conversationId: request.conversationId,
  });
  const { event, elapsedMs } = length > 1 ? stepIn(last) : { event: "", elapsedMs: 0 };
  if (typeof event !== "object" || event.case !== "finish") return task;
  task.status = event.value.status;
  if (event.value.error !== undefined) task.error = toRpcStatus(event.value.error);
  if (!waits(task.status)) task.endTime = timestampFromMs(createTimeMs + elapsedMs);
  return task;
}

async function entryAt(store: Store, log: string, number: number): Promise<TaskLogEntry | undefined> {
  try {
    for await (const bytes of store.read(log, number)) return readEntry(log, number, bytes);
    return undefined;
  } catch (thrown) {
    if (ConnectError.from(thrown).code === Code.OutOfRange) return undefined;
    throw thrown;
  }
}

export function withoutAnswer(task: Task): Task {
  const { response: _, ...summary } = task;
  return summary;
}

import { Code, ConnectError } from "@connectrpc/connect";
import type { Agent } from "../agent/index.ts";
import type { Task, TaskRequest } from "../contract/index.ts";
import { alreadyExists, cancelled, failedPrecondition, type Limits, notFound } from "../core/index.ts";
import type { CallerIdentity } from "../identity/index.ts";
import type { Admission } from "./admission.ts";
import type { Caller } from "./caller.ts";
import { checkGiven } from "./given.ts";
import { newId } from "./id.ts";
import type { Host } from "./place.ts";
import { asksTheSame } from "./question.ts";
import { TaskRecord } from "./record.ts";
import { waits } from "./status.ts";
import type { TaskTable } from "./table.ts";

/** Where tasks live. */
export interface Tasks {
  /** Starts the task, attaches to the one that has its id, or continues it. The request is valid. @throws ConnectError as `TaskRuntime.submit`. */
  submit(request: TaskRequest, caller: Caller): TaskRecord | Promise<TaskRecord>;
  /** @throws ConnectError NOT_FOUND when the caller has no such task, or it has been forgotten. */
  find(taskId: string, identity: CallerIdentity): TaskRecord | Promise<TaskRecord>;
  /** Stops a task; one that has ended stays as it is. @throws ConnectError as {@link find}. */
  cancel(taskId: string, identity: CallerIdentity, options: CancelOptions): TaskRecord | Promise<TaskRecord>;
  /** One page of a caller's tasks, by id. */
  list(identity: CallerIdentity, page: { after: string; limit: number }): Task[] | Promise<Task[]>;
  /** Frees what is over its time. */
  sweep(): void;
  /** Ends what is at work, or leaves it to others. */
  stopAll(reason: ConnectError): void;
  /** Lets go of what they are kept in. */
  close(): Promise<void>;
}

export interface CancelOptions {
  /** One caller leaves; others may still wait. Default false: the task is stopped for all. */
  readonly leaving?: boolean;
}

/** What all that hold tasks work with. */
export interface TaskParts {
  readonly host: Host;
  readonly limits: Limits;
  /** The tasks of this process. */
  readonly table: TaskTable;
  readonly admission: Admission;
  /** Told each time that a task of this process settles. */
  readonly onSettle: (record: TaskRecord) => void;
}

export function createRecord(
  request: TaskRequest,
  { caller, agent }: { caller: Caller; agent: Agent },
  parts: TaskParts,
): TaskRecord {
  const { limits, onSettle } = parts;
  const id = request.taskId === "" ? newId() : request.taskId;
  return new TaskRecord({ id, caller: caller.identity.name, agent: agent.name, request, limits, onSettle });
}

/** Lets a caller have the task that has its request's id. @throws ConnectError ALREADY_EXISTS when that was asked something else. */
export function attach(known: TaskRecord, request: TaskRequest, admission: Admission): TaskRecord {
  if (request.content !== "" && !asksTheSame(known, request, admission.findAgent(request).name)) {
    throw alreadyExists(`task_id "${request.taskId}" is taken by a task with another request; choose a new id`, {
      reason: "TASK_ID_REUSED",
      metadata: { task_id: request.taskId },
    });
  }
  known.detached ||= request.detached;
  return known;
}

/** The agent that goes on with what a request gives. @throws ConnectError when the task waits for none, or for others. */
export function agentToContinue(record: TaskRecord, request: TaskRequest, admission: Admission): Agent {
  if (!waits(record.status)) {
    const description =
      "the task awaits no tool results and no input; only one with status REQUIRES_TOOL_CALL or REQUIRES_INPUT does";
    throw failedPrecondition({ type: "TASK_STATUS", subject: record.id, description });
  }
  checkGiven(record, request);
  admission.checkRoom();
  return admission.findAgent({ agentId: record.agent, capability: "" });
}

/** The error of a task that its caller has stopped. */
export function callerCancelled(): ConnectError {
  return cancelled("the caller cancelled the task");
}

/** Of a request that continues a task which is not there. */
export const continuesHint = "tool_results and inputs continue a task";

export function unknownTask(taskId: string, hint = "it never was, or it was forgotten"): ConnectError {
  return notFound({ type: "task", name: taskId, hint });
}

/** The error of a task whose server has died. What it produced is there. */
export function serverLost(taskId: string): ConnectError {
  return new ConnectError(`the server that ran task "${taskId}" has died; begin another one`, Code.Unavailable); // without RetryInfo: it stays so
}

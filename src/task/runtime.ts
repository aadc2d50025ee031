import type { ConnectError } from "@connectrpc/connect";
import type { Agent } from "../agent/index.ts";
import { Status, type Task, type TaskRequest } from "../contract/index.ts";
import { type Limits, unavailable } from "../core/index.ts";
import type { CallerIdentity } from "../identity/index.ts";
import { Admission } from "./admission.ts";
import type { Caller } from "./caller.ts";
import { type Keeping, KeptTasks } from "./kept-tasks.ts";
import type { Host } from "./place.ts";
import { ProcessTasks } from "./process-tasks.ts";
import type { TaskRecord } from "./record.ts";
import { TaskTable } from "./table.ts";
import type { CancelOptions, TaskParts, Tasks } from "./tasks.ts";
import { validateTaskRequest } from "./validate.ts";

const drainingRetryMs = 1_000;
const sweepIntervalMs = 30_000;

/** Runs tasks: starts them, lets callers attach to them, continues and cancels them, and forgets them in the end. */
export class TaskRuntime {
  readonly limits: Limits;
  readonly #host: Host;
  readonly #table: TaskTable;
  readonly #admission: Admission;
  readonly #tasks: Tasks;
  readonly #sweeper: NodeJS.Timeout;
  #emptied: () => void = () => {};

  /** @param keeping the store that tasks are kept in. Default: they end with the process. */
  constructor(host: Host, keeping?: Keeping) {
    const { limits, log } = host;
    this.limits = limits;
    this.#host = host;
    const table = new TaskTable(limits);
    this.#table = table;
    this.#admission = new Admission(host, () => table.runningCount);
    const parts: TaskParts = { host, limits, table, admission: this.#admission, onSettle: this.#onSettle };
    this.#tasks = keeping === undefined ? new ProcessTasks(parts) : new KeptTasks(parts, { ...keeping, limits, log });
    this.#sweeper = setInterval(() => {
      table.sweep();
      this.#tasks.sweep();
    }, sweepIntervalMs);
    this.#sweeper.unref();
  }

  /** Tasks at work now. */
  get runningCount(): number {
    return this.#table.runningCount;
  }

  /** The agent that a request is for. @throws ConnectError NOT_FOUND when there is none. */
  findAgent(request: Pick<TaskRequest, "agentId" | "capability">): Agent {
    return this.#admission.findAgent(request);
  }

  /**
   * Starts the task, or attaches to the one that has its id, or continues it with tool results.
   *
   * @throws ConnectError INVALID_ARGUMENT, NOT_FOUND (agent; a task that is to be attached to), ALREADY_EXISTS (the id is taken by another
   *   request), FAILED_PRECONDITION (it awaits no tool results), RESOURCE_EXHAUSTED (too many tasks), UNAVAILABLE (closing); where tasks are
   *   kept, OUT_OF_RANGE (its events are gone) and what their store throws.
   */
  submit(request: TaskRequest, caller: Caller): TaskRecord | Promise<TaskRecord> {
    validateTaskRequest(request, this.limits);
    return this.#tasks.submit(request, caller);
  }

  /** @throws ConnectError NOT_FOUND when the caller has no such task, or it has been forgotten; where tasks are kept, what their store throws. */
  find(taskId: string, identity: CallerIdentity): TaskRecord | Promise<TaskRecord> {
    return this.#tasks.find(taskId, identity);
  }

  /** Stops a task of this caller; one that has ended stays as it is. @throws ConnectError as {@link find}. */
  cancel(taskId: string, identity: CallerIdentity, options: CancelOptions = {}): TaskRecord | Promise<TaskRecord> {
    return this.#tasks.cancel(taskId, identity, options);
  }

  /** One page of a caller's tasks, in the order of their ids. @throws ConnectError as {@link find}. */
  list(identity: CallerIdentity, page: { after: string; limit: number }): Task[] | Promise<Task[]> {
    return this.#tasks.list(identity, page);
  }

  /** Takes no new task from now on; those at work go on. */
  close(reason: ConnectError): void {
    this.#admission.close(reason);
    clearInterval(this.#sweeper);
  }

  /** Settles when no task is at work. */
  async idle(): Promise<void> {
    if (this.runningCount === 0) return;
    await new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
  }

  /** Ends every task at work. Those that are kept and whose agents are restartable are left to other servers. */
  stopAll(reason: ConnectError): void {
    this.#tasks.stopAll(reason);
  }

  /** Lets go of the store, after all that is at work has ended. */
  async release(): Promise<void> {
    await this.#tasks.close();
  }

  /** One function for all tasks. */
  readonly #onSettle = (record: TaskRecord): void => {
    this.#table.end(record);
    this.#logSettled(record);
    if (this.runningCount === 0) this.#emptied();
  };

  #logSettled(record: TaskRecord): void {
    const { log } = this.#host;
    if (!log.isLevelEnabled("debug")) return;
    const { id: taskId, agent, status, createTimeMs, endTimeMs } = record;
    log.debug({ taskId, agent, status: Status[status], ms: endTimeMs - createTimeMs }, "task settled");
  }
}

/** The error of a server that is closing. */
export function drainingError(): ConnectError {
  return unavailable("the server is shutting down; call another replica or try again", drainingRetryMs);
}

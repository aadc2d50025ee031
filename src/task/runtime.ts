import { setImmediate as nextTick } from "node:timers/promises";
import { ConnectError } from "@connectrpc/connect";
import type { Agent, Task, Yield } from "../agent/index.ts";
import { Status, type TaskRequest, type ToolResult } from "../contract/index.ts";
import {
  type AgentEvent,
  alreadyExists,
  cancelled,
  type Envelope,
  failedPrecondition,
  internal,
  invalidArgument,
  type Limits,
  notFound,
  resourceExhausted,
  unavailable,
} from "../core/index.ts";
import type { CallerIdentity } from "../identity/index.ts";
import { toEvent } from "./context.ts";
import { type Conversations, createConversations } from "./conversations.ts";
import { newId } from "./id.ts";
import type { Host } from "./place.ts";
import { TaskRecord } from "./record.ts";
import { TaskRun } from "./run.ts";
import { TaskTable } from "./table.ts";
import { validateTaskRequest } from "./validate.ts";

/** Who calls, and how long they are ready to wait. */
export interface Caller {
  /** The verified identity; tasks and conversations of one caller are hidden from every other. */
  readonly identity: CallerIdentity;
  /** What its call brought along. @throws ConnectError INVALID_ARGUMENT when that is malformed. */
  readonly envelope: Envelope;
  /** @throws ConnectError PERMISSION_DENIED when it may not ask this agent. */
  mayAsk(agent: Agent): void;
  /** Aborted when the caller leaves or its deadline is over. */
  readonly signal: AbortSignal;
  /** Calls back then, which is cheaper where nobody needs the signal. Returns what forgets the listener. */
  onLeave(listener: (reason: unknown) => void): () => void;
  /** Milliseconds that the caller gives; undefined for no deadline. */
  readonly timeoutMs: number | undefined;
}

/** How long a caller that was turned away for want of room should wait. */
const busyRetryMs = 1_000;
/** Events after which an agent that never waits lets the process do something else. */
const eventsPerBreath = 256;
const sweepIntervalMs = 30_000;

/** Runs tasks: starts them, lets callers attach to them, continues and cancels them, and forgets them in the end. */
export class TaskRuntime {
  readonly limits: Limits;
  readonly #host: Host;
  readonly #agentsByName: ReadonlyMap<string, Agent>;
  readonly #tasks: TaskTable;
  readonly #conversations: Conversations;
  readonly #sweeper: NodeJS.Timeout;
  #closed: ConnectError | undefined;
  #emptied: () => void = () => {};

  constructor(host: Host) {
    const { agents, limits } = host;
    this.limits = limits;
    this.#host = host;
    this.#agentsByName = new Map(agents.map((agent) => [agent.name, agent]));
    this.#tasks = new TaskTable(limits);
    this.#conversations = createConversations(limits);
    this.#sweeper = setInterval(() => {
      this.#tasks.sweep();
      this.#conversations.sweep();
    }, sweepIntervalMs);
    this.#sweeper.unref();
  }

  get agents(): readonly Agent[] {
    return this.#host.agents;
  }

  /** Tasks at work now. */
  get runningCount(): number {
    return this.#tasks.runningCount;
  }

  /**
   * Starts the task, or attaches to the one that has its id, or continues it with tool results.
   *
   * @throws ConnectError INVALID_ARGUMENT, NOT_FOUND (agent), ALREADY_EXISTS (the id is taken by another request),
   *   FAILED_PRECONDITION (it awaits no tool results), RESOURCE_EXHAUSTED (too many tasks), UNAVAILABLE (closing).
   */
  submit(request: TaskRequest, caller: Caller): TaskRecord {
    validateTaskRequest(request, this.limits);
    const known = request.taskId === "" ? undefined : this.#tasks.get(caller.identity.name, request.taskId);
    if (request.toolResults.length > 0) return this.#continue(known, request, caller);
    if (known === undefined) return this.#start(request, caller);
    if (known.isAskedBy(request, this.findAgent(request))) {
      known.detached ||= request.detached;
      return known;
    }
    throw alreadyExists(`task_id "${request.taskId}" is taken by a task with another request; choose a new id`, {
      reason: "TASK_ID_REUSED",
      metadata: { task_id: request.taskId },
    });
  }

  /** @throws ConnectError NOT_FOUND when the caller has no such task, or it has been forgotten. */
  find(taskId: string, identity: string): TaskRecord {
    const record = this.#tasks.get(identity, taskId);
    if (record === undefined) throw notFound({ type: "task", name: taskId, hint: "it never was, or it was forgotten" });
    return record;
  }

  /** Stops a task of this caller; one that has ended stays as it is. */
  cancel(taskId: string, identity: string): TaskRecord {
    const record = this.find(taskId, identity);
    record.stop(cancelled("the caller cancelled the task"));
    return record;
  }

  /** Takes no new task from now on; those at work go on. */
  close(reason: ConnectError): void {
    this.#closed = reason;
    clearInterval(this.#sweeper);
  }

  /** Settles when no task is at work. */
  async idle(): Promise<void> {
    if (this.runningCount === 0) return;
    await new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
  }

  /** Ends every task at work. */
  stopAll(reason: ConnectError): void {
    for (const record of this.#tasks.running()) record.stop(reason);
  }

  #start(request: TaskRequest, caller: Caller): TaskRecord {
    const id = request.taskId === "" ? newId() : request.taskId;
    const agent = this.findAgent(request);
    caller.mayAsk(agent);
    this.#checkDepth(caller.envelope, agent);
    this.#admit();
    const { limits } = this;
    const record = new TaskRecord({ id, caller: caller.identity.name, agent, request, limits, onSettle: this.#onSettle });
    this.#tasks.add(record);
    this.#run(record, caller);
    return record;
  }

  /**
   * The agent that a request names, or else the first that can do what it asks for; the first of all when it says neither.
   *
   * @throws ConnectError NOT_FOUND when there is none.
   */
  findAgent({ agentId: name, capability }: Pick<TaskRequest, "agentId" | "capability">): Agent {
    const { agents } = this;
    if (name === "" && capability !== "") {
      const able = agents.find((each) => each.capabilities.includes(capability));
      return able ?? this.#missing("capability", capability);
    }
    return (name === "" ? agents[0] : this.#agentsByName.get(name)) ?? this.#missing("agent", name);
  }

  #missing(type: string, name: string): never {
    throw notFound({ type, name, hint: `the agents here are ${this.agents.map((each) => each.name).join(", ")}` });
  }

  /** Callers that keep their own bounds have refused such a call already; this holds those to it that do not. */
  #checkDepth({ hops }: Envelope, agent: Agent): void {
    const { maxCallDepth } = this.limits;
    if (hops.length < maxCallDepth) return;
    const chain = [...hops.map((hop) => hop.agent), agent.name].join(" → ");
    const description = `agents call each other more than ${maxCallDepth} deep: ${chain}`;
    throw resourceExhausted({ subject: "call depth", description });
  }

  #continue(record: TaskRecord | undefined, request: TaskRequest, caller: Caller): TaskRecord {
    if (record === undefined) throw notFound({ type: "task", name: request.taskId, hint: "tool_results continue a task" });
    if (alreadyGiven(record, request.toolResults)) return record;
    if (record.status !== Status.REQUIRES_TOOL_CALL) {
      const description = "the task awaits no tool results; only a task with status REQUIRES_TOOL_CALL does";
      throw failedPrecondition({ type: "TASK_STATUS", subject: record.id, description });
    }
    checkAnswers(record, request.toolResults);
    this.#admit();
    this.#tasks.resume(record);
    record.log.reopen();
    for (const value of request.toolResults) record.log.append({ case: "toolResult", value });
    this.#run(record, caller);
    return record;
  }

  #admit(): void {
    if (this.#closed !== undefined) throw this.#closed;
    const { maxRunningTasks } = this.limits;
    if (this.runningCount < maxRunningTasks) return;
    const description = `${maxRunningTasks} tasks are at work, the most allowed; try again in a second`;
    throw resourceExhausted({ subject: "running tasks", description, retryMs: busyRetryMs });
  }

  #run(record: TaskRecord, caller: Caller): void {
    const { maxDeadlineMs } = this.limits;
    const { identity, envelope } = caller;
    const timeoutMs = Math.min(caller.timeoutMs ?? maxDeadlineMs, maxDeadlineMs);
    const run = new TaskRun(record, { identity, envelope, timeoutMs });
    record.run = run;
    void this.#fill(run);
  }

  /** One function for all tasks. */
  readonly #onSettle = (record: TaskRecord): void => {
    this.#tasks.end(record);
    this.#logSettled(record);
    if (this.runningCount === 0) this.#emptied();
  };

  #logSettled(record: TaskRecord): void {
    const { log } = this.#host;
    if (!log.isLevelEnabled("debug")) return;
    const { id: taskId, agent, status, createTimeMs, endTimeMs } = record;
    log.debug({ taskId, agent: agent.name, status: Status[status], ms: endTimeMs - createTimeMs }, "task settled");
  }

  /**
   * Fills the record's log until it settles. Never throws. An agent that ignores its signal is left behind when the task is stopped:
   * what it still yields is dropped.
   */
  async #fill(run: TaskRun): Promise<void> {
    const { record } = run;
    let count = 0;
    try {
      for await (const item of run.start(this.#taskOf(record), this.#host)) {
        if (run.over) return;
        record.log.append(typeof item === "string" ? item : counted(run, item));
        if (++count % eventsPerBreath === 0) await nextTick();
      }
      if (!run.over) this.#finish(record);
    } catch (thrown) {
      if (!run.over) this.#fail(record, thrown);
    }
  }

  #finish(record: TaskRecord): void {
    const { id: taskId, agent, caller, content, conversationId } = record; // the record may forget the question when it settles
    const waits = record.openToolCalls().length > 0;
    record.settle(waits ? Status.REQUIRES_TOOL_CALL : Status.COMPLETED);
    if (waits || conversationId === "") return;
    this.#conversations.append(caller, conversationId, {
      taskId,
      agent: agent.name,
      content,
      answer: record.response().content,
    });
  }

  #fail(record: TaskRecord, thrown: unknown): void {
    const name = record.agent.name;
    const error =
      thrown instanceof ConnectError ? thrown : internal(`agent "${name}" failed in an unforeseen way`, { cause: thrown });
    if (error.cause !== undefined) this.#host.log.error({ err: error.cause, agent: name, taskId: record.id }, "agent failed");
    record.fail(error);
  }

  #taskOf(record: TaskRecord): Task {
    const { id, content, metadata, tools: availableTools, conversationId } = record;
    const task = { id, content, metadata, availableTools, toolResults: record.toolResults() };
    if (conversationId === "") return task;
    return { ...task, conversation: this.#conversations.read(record.caller, conversationId) };
  }
}

function counted(run: TaskRun, item: Exclude<Yield, string>): AgentEvent {
  const event = toEvent(run.record.agent, item);
  if (event.case === "usage") run.meter.count(event);
  return event;
}

/** The error of a server that is closing. */
export function drainingError(): ConnectError {
  return unavailable("the server is shutting down; call another replica or try again", busyRetryMs);
}

/** True when every result has been given before, the same: the caller repeats a call whose answer it missed. */
function alreadyGiven(record: TaskRecord, results: readonly ToolResult[]): boolean {
  const given = new Map(record.toolResults().map((result) => [result.callId, result.resultJson]));
  return results.every((result) => given.get(result.callId) === result.resultJson);
}

function checkAnswers(record: TaskRecord, results: readonly ToolResult[]): void {
  const open = record.openToolCalls().map((call) => call.callId);
  const answered = new Set(results.map((result) => result.callId));
  const violations = results
    .map((result, index) => ({ field: `tool_results[${index}].call_id`, callId: result.callId }))
    .filter(({ callId }) => !open.includes(callId))
    .map(({ field, callId }) => ({ field, description: `"${callId}" is no open tool call; open are ${open.join(", ")}` }));
  const missing = open.filter((callId) => !answered.has(callId));
  if (missing.length > 0) violations.push({ field: "tool_results", description: `lacks the results of ${missing.join(", ")}` });
  if (violations.length > 0) throw invalidArgument(violations);
}

import { create, equals } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import type { Agent } from "../agent/index.ts";
import {
  type Spending,
  SpendingSchema,
  Status,
  type Task,
  type TaskRequest,
  TaskRequestSchema,
  type TaskResponse,
  TaskSchema,
  type ToolCall,
  type ToolDefinition,
  type ToolResult,
} from "../contract/index.ts";
import { cancelled, Few, type Finish, type Limits, type TaskEvent, toRpcStatus } from "../core/index.ts";
import { foldEvents } from "./answer.ts";
import { TaskLog } from "./log.ts";
import { statusOfError } from "./status.ts";

/** Times are kept from here on: V8 makes an object of a number as big as a date. */
const epochMs = Date.now();

/** Told that a task has settled. */
type Attendant = () => void;

/** What a task and all that it called have spent. */
type Spent = Pick<Spending, "tokens" | "calls">;

/** A task's agent at work. */
interface Run {
  /** Undefined when it called nobody. */
  readonly spent: Spent | undefined;
  /** Ends it: what it still yields does not count. */
  end(): void;
  /** Tells all that it has left running why it is over. */
  abort(error: ConnectError): void;
}

export interface TaskRecordInit {
  readonly id: string;
  readonly caller: string;
  readonly agent: Agent;
  readonly request: TaskRequest;
  readonly limits: Limits;
  /** Called each time that the task settles. */
  readonly onSettle: (record: TaskRecord) => void;
}

/**
 * One task in this process: what was asked, its log, and who waits for it. Ended tasks are kept by the thousand, so there is as
 * little in it as may be: no message, nothing for what was not asked, and of a run nothing but the log.
 */
export class TaskRecord {
  readonly id: string;
  readonly caller: string;
  readonly agent: Agent;
  /** Empty when nobody can ask for it any more. */
  content: string;
  readonly conversationId: string;
  readonly log: TaskLog;
  /** In milliseconds since {@link epochMs}. */
  readonly #created = Date.now() - epochMs;
  #settled = 0;
  /** Lets the task run on when nobody waits for it. Set by any caller that asks for it. */
  detached: boolean;
  /** The agent at work; undefined when the task has settled. */
  run: Run | undefined;
  /** What it has cost, with all that it called; undefined when it called nobody. */
  spending: Spent | undefined;
  /** The table's own: where it stands among the others, the bytes that it counts for when it has ended, and whether it can be looked up. */
  older: TaskRecord | undefined;
  younger: TaskRecord | undefined;
  keptBytes: number | undefined;
  indexed = false;
  readonly #onSettle: (record: TaskRecord) => void;
  /** True when the caller chose the id. */
  readonly namesTask: boolean;
  #metadata: Readonly<Record<string, string>> | undefined;
  #tools: readonly ToolDefinition[] | undefined;
  #holders = 0;
  #attendants: Few<Attendant> | undefined;

  constructor({ id, caller, agent, request, limits, onSettle }: TaskRecordInit) {
    this.id = id;
    this.caller = caller;
    this.agent = agent;
    this.content = request.content;
    this.conversationId = request.conversationId;
    this.detached = request.detached;
    this.log = new TaskLog(limits);
    this.#onSettle = onSettle;
    this.namesTask = request.taskId !== "";
    this.#metadata = isEmpty(request.metadata) ? undefined : request.metadata;
    this.#tools = request.availableTools.length === 0 ? undefined : request.availableTools;
  }

  get createTimeMs(): number {
    return epochMs + this.#created;
  }

  /** When it settled last. */
  get endTimeMs(): number {
    return epochMs + this.#settled;
  }

  get metadata(): Readonly<Record<string, string>> {
    return this.#metadata ?? {};
  }

  /** The tools that the caller offers. */
  get tools(): readonly ToolDefinition[] {
    return this.#tools ?? [];
  }

  /** True when the request, which has this task's id and is for this agent, asks what this task was asked. */
  isAskedBy(request: TaskRequest, agent: Agent): boolean {
    if (!this.namesTask || this.agent !== agent) return false;
    const { content, conversationId, metadata, tools } = this;
    const asked = create(TaskRequestSchema, { content, conversationId, metadata, availableTools: [...tools] });
    const asking = create(TaskRequestSchema, {
      content: request.content,
      conversationId: request.conversationId,
      metadata: request.metadata,
      availableTools: request.availableTools,
    });
    return equals(TaskRequestSchema, asked, asking);
  }

  /** The `finish` that settled the log; undefined while the agent works. */
  get finish(): Finish | undefined {
    const last = this.log.settled ? this.log.events.at(-1) : undefined;
    return typeof last === "object" && last.case === "finish" ? last.value : undefined;
  }

  get status(): Status {
    return this.finish?.status ?? Status.RUNNING;
  }

  /** Counts a caller that waits for the task. When the last one lets go, a task that is not detached is cancelled. */
  hold(): Disposable {
    this.#holders++;
    let held = true;
    const release = () => {
      if (held) this.#release();
      held = false;
    };
    return { [Symbol.dispose]: release };
  }

  /** Calls back once, when the task settles; until then the attendant holds it, like {@link hold}. */
  attend(attendant: Attendant): void {
    this.#holders++;
    this.#attendants ??= new Few();
    this.#attendants.add(attendant);
  }

  /** Lets go of the task before it settles. */
  leave(attendant: Attendant): void {
    if (this.#attendants?.delete(attendant)) this.#release();
  }

  #release(): void {
    this.#holders--;
    if (this.#holders > 0 || this.detached || this.log.settled) return;
    this.stop(cancelled("no caller waits for the task any more"));
  }

  /** Ends the task with an error, at once, whether or not its agent heeds the signal. Does nothing when it has ended. */
  stop(error: ConnectError): void {
    if (this.log.settled && this.status !== Status.REQUIRES_TOOL_CALL) return;
    this.log.reopen();
    this.fail(error);
  }

  /** Settles with an error, and stops what the agent has left running. */
  fail(error: ConnectError): void {
    const { run } = this;
    this.#settle({ case: "finish", value: { status: statusOfError(error), error } });
    run?.abort(error);
  }

  /** Settles well: with an answer, or until the caller has run the tools that were called. */
  settle(status: keyof typeof finishes): void {
    this.#settle(finishes[status]);
  }

  #settle(finish: TaskEvent): void {
    if (this.log.settled) return;
    this.log.append(finish);
    this.#settled = Date.now() - epochMs;
    if (!this.namesTask && this.status !== Status.REQUIRES_TOOL_CALL) this.#forgetQuestion();
    this.#account(this.run);
    this.run?.end();
    this.#onSettle(this);
    this.run = undefined;
    const attendants = this.#attendants;
    this.#attendants = undefined;
    attendants?.forEach((settled) => {
      this.#holders--;
      settled();
    });
  }

  /** A task that is continued has several runs. */
  #account(run: Run | undefined): void {
    const spent = run?.spent;
    if (spent === undefined) return;
    const { tokens, calls } = this.spending ?? { tokens: 0, calls: 0 };
    this.spending = { tokens: tokens + spent.tokens, calls: calls + spent.calls };
  }

  /** Only a task that waits for tool results, or one that its caller named, can be asked again. */
  #forgetQuestion(): void {
    this.content = "";
    this.#metadata = this.#tools = undefined;
  }

  /** Tool calls, in order, whose tool the caller offered and whose result is still awaited. */
  openToolCalls(): ToolCall[] {
    if (this.#tools === undefined) return [];
    const answered = new Set(this.toolResults().map((result) => result.callId));
    const offered = new Set(this.#tools.map((tool) => tool.name));
    return this.#toolCalls().filter((call) => offered.has(call.toolName) && !answered.has(call.callId));
  }

  toolResults(): ToolResult[] {
    if (this.log.events.length === 0) return []; // as nearly every task begins
    return this.log.events.flatMap((event) => (typeof event === "object" && event.case === "toolResult" ? [event.value] : []));
  }

  #toolCalls(): ToolCall[] {
    return this.log.events.flatMap((event) => (typeof event === "object" && event.case === "toolCall" ? [event.value] : []));
  }

  /** The log folded into one answer. */
  response(): TaskResponse {
    const { id: taskId, status } = this;
    const toolCalls = status === Status.REQUIRES_TOOL_CALL ? this.openToolCalls() : undefined;
    const answer = foldEvents(this.log.events, { taskId, status, toolCalls });
    if (this.spending !== undefined) answer.spending = create(SpendingSchema, this.spending);
    return answer;
  }

  /** The task as GetTask shows it. */
  describe(): Task {
    const { finish } = this;
    const task = create(TaskSchema, {
      taskId: this.id,
      agentId: this.agent.name,
      status: this.status,
      response: this.response(),
      nextIndex: this.log.events.length,
      createTime: timestampFromMs(this.createTimeMs),
      conversationId: this.conversationId,
    });
    if (finish?.error !== undefined) task.error = toRpcStatus(finish.error);
    if (finish !== undefined && finish.status !== Status.REQUIRES_TOOL_CALL) task.endTime = timestampFromMs(this.endTimeMs);
    return task;
  }
}

/** How tasks end well; one event for all of them. */
const finishes = {
  [Status.COMPLETED]: Object.freeze({ case: "finish", value: Object.freeze({ status: Status.COMPLETED }) }),
  [Status.REQUIRES_TOOL_CALL]: Object.freeze({ case: "finish", value: Object.freeze({ status: Status.REQUIRES_TOOL_CALL }) }),
} as const;

function isEmpty(object: object): boolean {
  for (const _ in object) return false;
  return true;
}

import type { ConnectError } from "@connectrpc/connect";
import {
  type Input,
  type Spending,
  Status,
  type TaskRequest,
  type ToolDefinition,
  type ToolResult,
} from "../contract/index.ts";
import { cancelled, type Finish, type Limits, type TaskEvent, taskEndedTrailer } from "../core/index.ts";
import type { Addition } from "./additions.ts";
import { Attendance, type Attended } from "./attendance.ts";
import { type KeptEvent, TaskLog } from "./log.ts";
import { inputs, type OpenRequests, openRequests, toolResults } from "./requests.ts";
import { statusOfError, waits } from "./status.ts";

/** Times are kept from here on: V8 makes an object of a number as big as a date. */
const epochMs = Date.now();

const nobodyWaits = "no caller waits for the task any more";

/** What a task and all that it called have spent. */
type Spent = Pick<Spending, "tokens" | "calls">;

/** A task's agent at work. */
interface Run {
  /** Undefined when it added nothing to shared memory. */
  readonly added: readonly Addition[] | undefined;
  /** Undefined when it called nobody. */
  readonly spent: Spent | undefined;
  /** Ends it: what it still yields does not count. */
  end(): void;
  /** Tells all that it has left running why it is over. */
  abort(error: ConnectError): void;
}

/** Brings the events of a task that runs elsewhere. */
interface Source {
  /** Nobody waits for it here any more. */
  unattended(isLost: boolean): void;
}

/** What is kept with an event. */
interface Restored {
  readonly elapsedMs: number;
  readonly spending?: Spent | undefined;
  readonly additions?: readonly Addition[] | undefined;
}

export interface TaskRecordInit {
  readonly id: string;
  readonly caller: string;
  /** The agent, by name. */
  readonly agent: string;
  readonly request: TaskRequest;
  /** When it was accepted, in milliseconds since the epoch. Default: now. */
  readonly createTimeMs?: number;
  readonly limits: Limits;
  /** Called each time that the task settles. */
  readonly onSettle: (record: TaskRecord) => void;
}

/**
 * One task in this process: what was asked, its log, and who waits for it. Ended tasks are kept by the thousand, so there is as
 * little in it as may be: no message, nothing for what was not asked, and of a run nothing but the log.
 */
export class TaskRecord implements Attended {
  readonly id: string;
  readonly caller: string;
  readonly agent: string;
  /** Empty when nobody can ask for it any more. */
  content: string;
  readonly conversationId: string;
  readonly log: TaskLog;
  /** In milliseconds since {@link epochMs}. */
  readonly #created: number;
  #settled = 0;
  /** Lets the task run on when nobody waits for it. Set by any caller that asks for it. */
  detached: boolean;
  /** The agent at work; undefined when the task has settled. */
  run: Run | undefined;
  /** What it adds to shared memory; undefined for nothing. */
  additions: readonly Addition[] | undefined;
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
  #attendance: Attendance | undefined;
  readonly abandonAfterMs: number;
  /** Where its events come from, when it runs on another server. */
  source: Source | undefined;

  constructor({ id, caller, agent, request, createTimeMs = Date.now(), limits, onSettle }: TaskRecordInit) {
    this.id = id;
    this.caller = caller;
    this.agent = agent;
    this.content = request.content;
    this.conversationId = request.conversationId;
    this.#created = createTimeMs - epochMs;
    this.detached = request.detached;
    this.log = new TaskLog(limits);
    this.abandonAfterMs = limits.abandonAfterMs;
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

  /** The `finish` that settled the log; undefined while the agent works. */
  get finish(): Finish | undefined {
    const last = this.log.settled ? this.log.events.at(-1) : undefined;
    return typeof last === "object" && last.case === "finish" ? last.value : undefined;
  }

  get status(): Status {
    return this.finish?.status ?? Status.RUNNING;
  }

  /** Who waits for it. Made when somebody does. */
  get attendance(): Attendance {
    this.#attendance ??= new Attendance(this);
    return this.#attendance;
  }

  /** When the last one has gone, a task that is not detached is cancelled, or waits for a while for one to come back. */
  unattended(isLost: boolean): boolean {
    if (this.log.ended) {
      this.#attendance = undefined; // those that wait again make another one
      return false;
    }
    if (this.run === undefined) this.source?.unattended(isLost);
    else if (!this.detached && !isLost) this.stop(cancelled(nobodyWaits));
    return this.run !== undefined && !this.detached && isLost;
  }

  abandoned(hasLeft: boolean): void {
    if (this.detached) return;
    const absent = `no caller came back within ${this.abandonAfterMs} ms after the last one's connection broke`;
    this.stop(cancelled(hasLeft ? nobodyWaits : absent));
  }

  /** Adds what the agent yields. @throws ConnectError RESOURCE_EXHAUSTED when the log is full. */
  append(event: KeptEvent): void {
    this.log.append(event, this.log.isKept ? Math.max(0, Date.now() - this.createTimeMs) : undefined);
  }

  /** Adds what has been kept before, here or elsewhere. */
  restore(event: KeptEvent, { elapsedMs, spending, additions }: Restored): void {
    if (this.log.settled) this.log.reopen();
    this.log.append(event, elapsedMs);
    if (!this.log.settled) return;
    this.#settled = this.#created + elapsedMs;
    this.spending = spending;
    this.additions = additions;
  }

  /** Ends the task with an error, at once, whether or not its agent heeds the signal. Does nothing when it has ended. */
  stop(error: ConnectError): void {
    if (this.log.ended && !waits(this.status)) return;
    this.log.reopen();
    this.fail(error);
  }

  /** Settles with an error, and stops what the agent has left running. @param isEnd false: the task may go on elsewhere. Default: it is over. */
  fail(error: ConnectError, { isEnd = true } = {}): void {
    const { run } = this;
    if (isEnd) error.metadata.set(taskEndedTrailer, "1");
    this.#end({ case: "finish", value: { status: statusOfError(error), error } });
    run?.abort(error);
  }

  /** Settles well: with an answer, or until what it asked for has been given. */
  settle(status: keyof typeof finishes): void {
    if (status === Status.COMPLETED) this.additions = this.run?.added;
    this.#end(finishes[status]);
  }

  #end(finish: TaskEvent): void {
    if (this.log.ended) return;
    this.#account(this.run);
    this.run?.end();
    this.append(finish);
    if (this.log.settled) this.conclude();
  }

  /** Tells everybody that the log has settled. */
  conclude(): void {
    if (this.run !== undefined) this.#settled = Date.now() - epochMs;
    if (!this.namesTask && !waits(this.status)) this.#forgetQuestion();
    this.#onSettle(this);
    this.run = undefined;
    this.#attendance?.settled();
    if (this.#attendance?.isAny === false) this.#attendance = undefined;
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

  /** What it waits for. */
  openRequests(): OpenRequests {
    return openRequests(this.log.events, this.tools);
  }

  toolResults(): ToolResult[] {
    return toolResults(this.log.events);
  }

  inputs(): Input[] {
    return inputs(this.log.events);
  }
}

/** How tasks end well; one event for all of them. */
const finishes = {
  [Status.COMPLETED]: Object.freeze({ case: "finish", value: Object.freeze({ status: Status.COMPLETED }) }),
  [Status.REQUIRES_TOOL_CALL]: Object.freeze({ case: "finish", value: Object.freeze({ status: Status.REQUIRES_TOOL_CALL }) }),
  [Status.REQUIRES_INPUT]: Object.freeze({ case: "finish", value: Object.freeze({ status: Status.REQUIRES_INPUT }) }),
} as const;

function isEmpty(object: object): boolean {
  for (const _ in object) return false;
  return true;
}

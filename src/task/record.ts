import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import type { Agent } from "../agent/index.ts";
import {
  Status,
  type Task,
  type TaskRequest,
  TaskRequestSchema,
  type TaskResponse,
  TaskResponseSchema,
  TaskSchema,
  type ToolCall,
  type ToolResult,
} from "../contract/index.ts";
import { cancelled, type Finish, type Limits, toRpcStatus } from "../core/index.ts";
import { TaskLog } from "./log.ts";
import { statusOfError } from "./status.ts";

/** One task in this process: its request, its log, and who waits for it. */
export class TaskRecord {
  readonly id: string;
  readonly caller: string;
  readonly agent: Agent;
  readonly request: TaskRequest;
  readonly log: TaskLog;
  readonly createTimeMs = Date.now();
  endTimeMs: number | undefined;
  /** Lets the task run on when nobody waits for it. Set by any caller that asks for it. */
  detached: boolean;
  /** Called each time that the log settles. */
  onSettle: () => void = nothing;
  #controller: AbortController | undefined;
  #stopped: ConnectError | undefined;
  #holders = 0;

  constructor(init: { id: string; caller: string; agent: Agent; request: TaskRequest; limits: Limits }) {
    this.id = init.id;
    this.caller = init.caller;
    this.agent = init.agent;
    this.request = init.request;
    this.detached = init.request.detached;
    this.log = new TaskLog(init.limits);
  }

  /** Aborted with the ConnectError that ends the task. Made when somebody asks for it: most agents never do. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#stopped !== undefined) this.#controller.abort(this.#stopped);
    }
    return this.#controller.signal;
  }

  /** True when nothing that the agent still yields counts. */
  get stopped(): boolean {
    return this.#stopped !== undefined;
  }

  /** The `finish` that settled the log; undefined while the agent works. */
  get finish(): Finish | undefined {
    const last = this.log.settled ? this.log.events.at(-1) : undefined;
    return last?.case === "finish" ? last.value : undefined;
  }

  get status(): Status {
    return this.finish?.status ?? Status.RUNNING;
  }

  /** Counts a caller that waits for the task. When the last one lets go, a task that is not detached is cancelled. */
  hold(): Disposable {
    this.#holders++;
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#holders--;
        if (this.#holders > 0 || this.detached || this.log.settled) return;
        this.stop(cancelled("no caller waits for the task any more"));
      },
    };
  }

  /** Ends the task with an error, at once, whether or not its agent heeds the signal. Does nothing when it has ended. */
  stop(error: ConnectError): void {
    if (this.log.settled && this.status !== Status.REQUIRES_TOOL_CALL) return;
    this.log.reopen();
    this.fail(error);
  }

  /** Settles with an error, and stops what the agent has left running. */
  fail(error: ConnectError): void {
    this.settle({ status: statusOfError(error), error });
    if (this.#stopped !== undefined) return;
    this.#stopped = error;
    this.#controller?.abort(error);
  }

  settle(finish: Finish): void {
    if (this.log.settled) return;
    this.log.append({ case: "finish", value: finish });
    this.endTimeMs = Date.now();
    this.onSettle();
  }

  /** Tool calls, in order, whose tool the caller offered and whose result is still awaited. */
  openToolCalls(): ToolCall[] {
    if (this.request.availableTools.length === 0) return [];
    const answered = new Set(this.toolResults().map((result) => result.callId));
    const offered = new Set(this.request.availableTools.map((tool) => tool.name));
    return this.#toolCalls().filter((call) => offered.has(call.toolName) && !answered.has(call.callId));
  }

  toolResults(): ToolResult[] {
    return this.log.events.flatMap((event) => (event.case === "toolResult" ? [event.value] : []));
  }

  #toolCalls(): ToolCall[] {
    return this.log.events.flatMap((event) => (event.case === "toolCall" ? [event.value] : []));
  }

  /** The log folded into one answer. */
  response(): TaskResponse {
    const text: string[] = [];
    const response = create(TaskResponseSchema, { taskId: this.id, status: this.status, usage: {} });
    const { usage } = response;
    for (const event of this.log.events) {
      if (event.case === "text") text.push(event.value);
      else if (event.case === "citation") response.citations.push(event.value);
      else if (event.case === "usage" && usage !== undefined) {
        usage.promptTokens += event.value.promptTokens;
        usage.completionTokens += event.value.completionTokens;
      }
    }
    response.content = text.join("");
    response.toolCalls = response.status === Status.REQUIRES_TOOL_CALL ? this.openToolCalls() : this.#toolCalls();
    return response;
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
      conversationId: this.request.conversationId,
    });
    if (finish?.error !== undefined) task.error = toRpcStatus(finish.error);
    if (finish !== undefined && finish.status !== Status.REQUIRES_TOOL_CALL && this.endTimeMs !== undefined) {
      task.endTime = timestampFromMs(this.endTimeMs);
    }
    return task;
  }
}

function nothing(): void {}

/** A digest that is equal for equal requests, whatever the order of their metadata. */
export function fingerprint(request: TaskRequest): string {
  const canonical = create(TaskRequestSchema, {
    ...request,
    metadata: Object.fromEntries(Object.entries(request.metadata).sort(([a], [b]) => (a < b ? -1 : 1))),
    toolResults: [],
    fromIndex: 0,
    detached: false,
  });
  return createHash("sha256").update(toBinary(TaskRequestSchema, canonical)).digest("base64");
}

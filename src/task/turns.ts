import { create } from "@bufbuild/protobuf";
import type { ConverseRequest, Input, StartTurn, TaskRequest, ToolResult } from "../contract/index.ts";
import { TaskRequestSchema } from "../contract/index.ts";
import { failedPrecondition, invalidArgument, resourceExhausted, toPeerError } from "../core/index.ts";
import type { Caller } from "./caller.ts";
import { isComplete } from "./given.ts";
import { newId } from "./id.ts";
import type { TaskRecord } from "./record.ts";
import type { TaskRuntime } from "./runtime.ts";
import { Check, validateTurn } from "./validate.ts";

/** A turn that waits for the ones before it. */
export interface QueuedTurn {
  readonly request: TaskRequest;
  cancelled: boolean;
}

/** The incoming side of one conversation: reads the caller's actions, keeps the turns in order, routes results and cancels. */
export class TurnQueue {
  /** The conversation's id, the caller's or a new one; set by the first message. */
  conversationId = "";
  /** The task of the turn at work. */
  current: TaskRecord | undefined;
  readonly #runtime: TaskRuntime;
  readonly #caller: Caller;
  readonly #queue: QueuedTurn[] = [];
  readonly #results: ToolResult[] = [];
  readonly #inputs: Input[] = [];
  readonly #failure = new AbortController();
  #agentId = "";
  #started = false;
  #closed = false;
  #wake: () => void = () => {};

  constructor(runtime: TaskRuntime, caller: Caller) {
    this.#runtime = runtime;
    this.#caller = caller;
  }

  /** Aborted with a ConnectError when a message was malformed or the incoming stream broke. */
  get failure(): AbortSignal {
    return this.#failure.signal;
  }

  /** Takes the caller's messages until they end. Never throws: see {@link failure}. */
  async readFrom(requests: AsyncIterable<ConverseRequest>): Promise<void> {
    try {
      for await (const request of requests) {
        if (this.#closed) return;
        this.#take(request);
        this.#wake();
      }
    } catch (thrown) {
      this.#failure.abort(toPeerError(thrown));
    } finally {
      this.close();
    }
  }

  /** The next turn, waiting for it; undefined when the caller has ended the conversation. */
  async next(signal: AbortSignal): Promise<QueuedTurn | undefined> {
    await this.#until(() => this.#queue.length > 0, signal);
    return this.#queue.shift();
  }

  /** All that a task waits for; nothing when it was cancelled instead, undefined when the caller has ended the conversation without it. */
  async given(record: TaskRecord, signal: AbortSignal): Promise<{ toolResults: ToolResult[]; inputs: Input[] } | undefined> {
    const cancelledMeanwhile = () => record.finish?.error !== undefined;
    const isAll = () => isComplete(record, { toolResults: this.#results, inputs: this.#inputs });
    await this.#until(() => cancelledMeanwhile() || isAll(), signal);
    if (cancelledMeanwhile()) this.#results.length = this.#inputs.length = 0;
    else if (!isAll()) return undefined;
    return { toolResults: this.#results.splice(0), inputs: this.#inputs.splice(0) };
  }

  /** Takes no more messages; those queued are still given out. */
  close(): void {
    this.#closed = true;
    this.#wake();
  }

  #take(request: ConverseRequest): void {
    this.#begin(request);
    const { action } = request;
    if (action.case === "startTurn") this.#startTurn(action.value);
    else if (action.case === "toolResult") this.#toolResult(action.value);
    else if (action.case === "input") this.#input(action.value);
    else if (action.case === "cancelTurn") this.#cancelTurn(action.value.taskId);
    else
      throw invalidArgument([
        { field: "action", description: "is missing; set start_turn, tool_result, input or cancel_turn" },
      ]);
  }

  /** What only the first message says. */
  #begin(request: ConverseRequest): void {
    if (this.#started) return;
    this.#started = true;
    const { limits } = this.#runtime;
    const check = new Check(limits);
    check.id("conversation_id", request.conversationId);
    check.id("agent_id", request.agentId);
    check.id("capability", request.capability);
    check.finish();
    this.conversationId = request.conversationId === "" ? newId() : request.conversationId;
    this.#agentId = this.#runtime.findAgent(request).name;
  }

  #startTurn(turn: StartTurn): void {
    const { limits } = this.#runtime;
    validateTurn(turn, limits);
    if (this.#queue.length >= limits.maxQueuedTurns) {
      const description = `${limits.maxQueuedTurns} turns wait already, the most allowed; wait for one to finish`;
      throw resourceExhausted({ subject: "queued turns", description });
    }
    const { taskId, content, metadata, availableTools } = turn;
    const request = create(TaskRequestSchema, {
      taskId: taskId === "" ? newId() : taskId,
      agentId: this.#agentId,
      conversationId: this.conversationId,
      content,
      metadata,
      availableTools,
    });
    this.#queue.push({ request, cancelled: false });
  }

  #toolResult(result: ToolResult): void {
    const check = new Check(this.#runtime.limits);
    check.toolResults("tool_result", [result]);
    check.finish();
    const open = this.current?.openRequests().toolCalls ?? [];
    const given = this.#results.some((each) => each.callId === result.callId);
    if (given || !open.some((call) => call.callId === result.callId)) {
      const description = `no turn awaits a result for tool call "${result.callId}"`;
      throw failedPrecondition({ type: "TOOL_CALL", subject: result.callId, description });
    }
    this.#results.push(result);
  }

  #input(input: Input): void {
    const check = new Check(this.#runtime.limits);
    check.inputs("input", [input]);
    const asked = this.current?.openRequests().inputs.find(({ inputId }) => inputId === input.inputId);
    if (asked?.toolCall !== undefined && input.approved === undefined)
      check.refuse("input.approved", "is missing; say whether the tool may be called");
    check.finish();
    if (asked === undefined || this.#inputs.some(({ inputId }) => inputId === input.inputId)) {
      const description = `no turn awaits the input "${input.inputId}"`;
      throw failedPrecondition({ type: "INPUT", subject: input.inputId, description });
    }
    this.#inputs.push(input);
  }

  #cancelTurn(taskId: string): void {
    for (const turn of this.#queue) {
      if (taskId === "" || turn.request.taskId === taskId) turn.cancelled = true;
    }
    if (this.current !== undefined && (taskId === "" || this.current.id === taskId)) {
      void this.#cancel(this.current.id);
    }
  }

  async #cancel(taskId: string): Promise<void> {
    try {
      await this.#runtime.cancel(taskId, this.#caller.identity);
      this.#wake();
    } catch (thrown) {
      this.#failure.abort(toPeerError(thrown));
    }
  }

  /** Waits until the condition holds or no message can come any more. */
  async #until(holds: () => boolean, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    while (!holds() && !this.#closed) {
      await new Promise<void>((resolve, reject) => {
        const abort = () => reject(signal.reason);
        signal.addEventListener("abort", abort, { once: true });
        this.#wake = () => {
          signal.removeEventListener("abort", abort);
          resolve();
        };
      });
    }
    signal.throwIfAborted();
  }
}

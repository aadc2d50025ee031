import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Tool, ToolRunner, toolDefinitionOf } from "../agent/index.ts";
import {
  Status,
  type TaskRequestSchema,
  type TaskResponse,
  type ToolCall,
  ToolDefinitionSchema,
  type ToolResult,
  ToolResultSchema,
} from "../contract/index.ts";
import { deadlineExceeded, invalidArgument, resourceExhausted, timers, toolBounds, toPeerError } from "../core/index.ts";
import type { AgentCalls, CallDefaults, CallOptions, TaskInput } from "../web/index.ts";
import { callerContext } from "./caller-context.ts";
import { Spent } from "./spent.ts";
import type { TaskCallOptions } from "./task-call-options.ts";

type TaskRequestInit = MessageInitShape<typeof TaskRequestSchema>;

/** A call that waits for its result, and the tool that gives it. */
interface OpenCall {
  readonly call: ToolCall;
  readonly tool: Tool;
}

export interface ToolRoundsInit {
  readonly calls: AgentCalls;
  readonly defaults: CallDefaults;
  readonly options: TaskCallOptions;
}

/** The rounds of one task whose caller runs its tools: what is asked in each, and within which bounds. */
export class ToolRounds {
  readonly first: TaskRequestInit;
  readonly #init: ToolRoundsInit;
  readonly #tools: ReadonlyMap<string, Tool>;
  readonly #spent: Spent;
  readonly #deadlineMs: number;
  #left: number;

  /** @throws TypeError for a tool that says no JSON Schema, or that has to be approved; RangeError for a bound that is none. */
  constructor(task: TaskInput, init: ToolRoundsInit) {
    const { options, defaults } = init;
    const { tools = [], maxToolRounds = toolBounds.maxRounds, timeoutMs = defaults.timeoutMs } = options;
    if (!Number.isSafeInteger(maxToolRounds) || maxToolRounds < 1)
      throw new RangeError(`maxToolRounds is ${maxToolRounds}; it must be a whole number of 1 or more`);
    const asking = tools.find(({ approve }) => approve);
    if (asking !== undefined)
      throw new TypeError(`tool "${asking.name}" has to be approved, which only an agent can ask for; ask before you offer it`);
    const request = typeof task === "string" ? { content: task } : task;
    const { availableTools = [], detached = options.detached ?? defaults.detached ?? false } = request;
    const given = availableTools.map((tool) => create(ToolDefinitionSchema, tool));
    this.first = { ...request, availableTools: [...given, ...tools.map(toolDefinitionOf)], detached };
    this.#init = init;
    this.#tools = new Map(tools.map((tool) => [tool.name, tool]));
    this.#spent = new Spent(options.budget ?? defaults.budget);
    this.#deadlineMs = performance.now() + (timeoutMs || Number.POSITIVE_INFINITY);
    this.#left = maxToolRounds;
  }

  /** What the next call is told: what is left of time and budget. */
  get options(): CallOptions {
    const leftMs = this.#leftMs();
    const timeoutMs = leftMs === Number.POSITIVE_INFINITY ? 0 : Math.max(1, Math.ceil(leftMs)); // 0: none, whatever the default is
    const budget = this.#spent.left;
    return { ...this.#init.options, timeoutMs, ...(budget && { budget }) };
  }

  /** The same task, asked for by its id. */
  again(taskId: string, more: Pick<TaskRequestInit, "fromIndex" | "toolResults"> = {}): TaskRequestInit {
    const { agentId = "", capability = "", detached = false } = this.first;
    return { taskId, agentId, capability, detached, ...more };
  }

  /** The calls that an answer waits for; undefined when it waits for none, or for one that is not run here. */
  open({ status, toolCalls }: TaskResponse): readonly OpenCall[] | undefined {
    if (status !== Status.REQUIRES_TOOL_CALL || toolCalls.length === 0) return undefined;
    const open = toolCalls.flatMap((call) => {
      const tool = this.#tools.get(call.toolName);
      return tool === undefined ? [] : [{ call, tool }];
    });
    return open.length === toolCalls.length ? open : undefined;
  }

  /**
   * Runs the tools that an answer waits for.
   *
   * @throws ConnectError RESOURCE_EXHAUSTED after too many rounds, DEADLINE_EXCEEDED when the time is over, CANCELLED when the caller has stopped
   *   the call; what `onToolError` throws.
   */
  async results(open: readonly OpenCall[], answer: TaskResponse): Promise<ToolResult[]> {
    this.#spent.count(answer);
    if (this.#left-- === 0) throw tooManyRounds(this.#init.options);
    const over = new AbortController();
    const { signal: caller } = this.#init.options;
    const signal = caller === undefined ? over.signal : AbortSignal.any([caller, over.signal]);
    const late = () => over.abort(deadlineExceeded("the time of the call was over while its caller's tools were at work"));
    const due = this.#deadlineMs === Number.POSITIVE_INFINITY ? undefined : timers.schedule(Math.max(0, this.#leftMs()), late);
    const runner = new ToolRunner(
      callerContext(signal, () => Math.max(0, this.#leftMs())),
      () => {},
    );
    try {
      return await Promise.all(open.map((each) => this.#result(each, runner, signal)));
    } finally {
      due?.cancel();
      over.abort(); // what still works when another one has ended the call
    }
  }

  /** Ends a task that nobody will answer. */
  leave(taskId: string): void {
    if (this.first.detached === true) return;
    const { signal: _, ...options } = this.options;
    this.#init.calls.cancel(taskId, { ...options, timeoutMs: cancelTimeoutMs }).catch(() => {}); // it is forgotten in its time
  }

  async #result({ call, tool }: OpenCall, runner: ToolRunner, signal: AbortSignal): Promise<ToolResult> {
    const { callId } = call;
    try {
      const { resultJson } = await runner.run(tool, { callId, input: argumentsOf(call) });
      return create(ToolResultSchema, { callId, resultJson });
    } catch (thrown) {
      if (signal.aborted) throw ConnectError.from(signal.reason, Code.Canceled); // no failure of the tool's
      const error = toPeerError(thrown);
      this.#init.options.onToolError?.(error, call);
      return create(ToolResultSchema, { callId, resultJson: error.rawMessage, isError: true });
    }
  }

  #leftMs(): number {
    return this.#deadlineMs - performance.now();
  }
}

const cancelTimeoutMs = 10_000;

function argumentsOf({ toolName, argumentsJson }: ToolCall): unknown {
  try {
    return JSON.parse(argumentsJson);
  } catch (cause) {
    throw invalidArgument([{ field: toolName, description: "the arguments are no JSON" }], { cause });
  }
}

function tooManyRounds({ maxToolRounds = toolBounds.maxRounds }: TaskCallOptions): ConnectError {
  const description = `the agent still asks for tools after ${maxToolRounds} rounds of them, the most allowed`;
  return resourceExhausted({ subject: "tool rounds", description });
}

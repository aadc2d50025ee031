import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, type CallOptions as ConnectCallOptions, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { AgentService, type Task, type TaskRequestSchema, type TaskResponse, type TokenChunk } from "../contract/index.ts";
import { type Budget, envelopeHeaders } from "../core/index.ts";

/** What can be said of one call. */
export interface CallOptions {
  /** The agent to ask, by name. Default: the request's own `agentId`, then the server's default agent. */
  readonly agent?: string;
  /** The agent to ask, by what it can do, where none is named: the server's first that can. Default: the request's own `capability`. */
  readonly capability?: string;
  /** What the task and all that it calls may use; what is not said has no bound. Used up, it is RESOURCE_EXHAUSTED. Default: no bound. */
  readonly budget?: CallBudget;
  /** Milliseconds until the call fails with DEADLINE_EXCEEDED; 0 takes away a default. Default: the server's longest deadline. */
  readonly timeoutMs?: number;
  /** Stops the call, and the task with it unless it is `detached`. The call then fails with CANCELLED. Default: none. */
  readonly signal?: AbortSignal;
  /** Request headers, gRPC's "metadata". A header given here replaces the default of the same name. */
  readonly metadata?: HeadersInit;
}

/** Bounds of a call and of everything below it, each a whole number of 0 to 4,294,967,295. */
export interface CallBudget extends Budget {
  /** Agents that call each other, the first one counted. Default: what each server allows, which is 8 unless it says otherwise. */
  readonly depth?: number;
}

/** What holds for every call that does not say otherwise. A signal belongs to one call and has no default. */
export type CallDefaults = Omit<CallOptions, "signal">;

/** What is asked: the question alone, or the contract's whole `TaskRequest`. */
export type TaskInput = string | MessageInitShape<typeof TaskRequestSchema>;

/**
 * The calls that an agent answers. Each failure is a ConnectError, whose `code` is the gRPC code and whose details are those
 * of `proto/agent/v1/agent.proto`.
 */
export interface AgentCalls {
  /**
   * Runs a task and gives the whole answer when it is finished or waits for tool results.
   *
   * @throws ConnectError what the task failed with; NOT_FOUND for an unknown agent; ALREADY_EXISTS when the `taskId` stands for
   * another request.
   */
  process(task: TaskInput, options?: CallOptions): Promise<TaskResponse>;

  /**
   * Runs a task and gives its events as they come. Text is in `chunk.text`; pieces join without a separator.
   *
   * The call starts with the first read. Leaving the loop early stops it as the signal does. Can be read once; to go on after a
   * broken connection, send the same `taskId` again with `fromIndex` one above the last chunk's `index`.
   *
   * @throws ConnectError as {@link AgentCalls.process}; OUT_OF_RANGE for a `fromIndex` beyond the end.
   */
  stream(task: TaskInput, options?: CallOptions): AsyncIterable<TokenChunk>;

  /**
   * Looks at a task and what it has produced so far, without waiting for it.
   *
   * @throws ConnectError NOT_FOUND when there is no such task, or it is another caller's.
   */
  get(taskId: string, options?: CallOptions): Promise<Task>;

  /**
   * Stops a task and everything that it called. A task that has ended stays as it is.
   *
   * @returns the task as it stands after that.
   * @throws ConnectError NOT_FOUND when there is no such task, or it is another caller's.
   */
  cancel(taskId: string, options?: CallOptions): Promise<Task>;

  /** The same calls with this agent as the default one. The server checks the name, with the first call. */
  agent(name: string): AgentCalls;

  /** The same calls to the server's first agent that can do this, whatever its name. */
  capability(name: string): AgentCalls;
}

/** The calls over any Connect transport, in a browser or in Node. The transport stays the caller's. */
export function createAgentCalls(transport: Transport, defaults: CallDefaults = {}): AgentCalls {
  const client = createClient(AgentService, transport);
  return {
    process: async (task, options = {}) =>
      client.processTask(requestOf(task, options, defaults), callOptionsOf(options, defaults)),
    stream: (task, options = {}) =>
      stoppable(options.signal, (signal) =>
        client.streamResponse(requestOf(task, options, defaults), callOptionsOf({ ...options, signal }, defaults)),
      ),
    get: async (taskId, options = {}) => present((await client.getTask({ taskId }, callOptionsOf(options, defaults))).task),
    cancel: async (taskId, options = {}) =>
      present((await client.cancelTask({ taskId }, callOptionsOf(options, defaults))).task),
    agent: (name) => createAgentCalls(transport, { ...defaults, agent: name, capability: "" }),
    capability: (name) => createAgentCalls(transport, { ...defaults, agent: "", capability: name }),
  };
}

/** Hands on what `start` gives. Connect's streams have no `return`, so a reader that leaves early would leave the call running. */
async function* stoppable<T>(caller: AbortSignal | undefined, start: (signal: AbortSignal) => AsyncIterable<T>) {
  const reader = new AbortController();
  const signal = caller === undefined ? reader.signal : AbortSignal.any([caller, reader.signal]);
  try {
    yield* start(signal);
  } finally {
    reader.abort();
  }
}

function requestOf(task: TaskInput, options: CallOptions, defaults: CallDefaults): MessageInitShape<typeof TaskRequestSchema> {
  const request = typeof task === "string" ? { content: task } : task;
  return {
    ...request,
    agentId: options.agent ?? (request.agentId || (defaults.agent ?? "")),
    capability: options.capability ?? (request.capability || (defaults.capability ?? "")),
  };
}

/** What Connect is told of a call. */
export function callOptionsOf(options: CallOptions, defaults: CallDefaults): ConnectCallOptions {
  const headers = new Headers(defaults.metadata);
  new Headers(options.metadata).forEach((value, name) => {
    headers.set(name, value);
  });
  const { signal, timeoutMs = defaults.timeoutMs, budget = defaults.budget } = options;
  if (budget !== undefined) for (const [name, value] of Object.entries(budgetHeaders(budget))) headers.set(name, value);
  return { headers, ...(signal !== undefined && { signal }), ...(timeoutMs !== undefined && { timeoutMs }) };
}

/** @throws RangeError for a bound that is no whole number. */
function budgetHeaders({ tokens, calls, depth }: CallBudget): Record<string, string> {
  for (const [name, value] of Object.entries({ tokens, calls, depth })) {
    if (value === undefined || (Number.isInteger(value) && value >= 0 && value <= maxBudget)) continue;
    throw new RangeError(`budget.${name} is ${value}; it must be a whole number of 0 to ${maxBudget}`);
  }
  return envelopeHeaders({ hops: [], tokens, calls, maxDepth: depth });
}

/** What a uint32 holds. */
const maxBudget = 0xffff_ffff;

function present(task: Task | undefined): Task {
  if (task === undefined) throw new ConnectError("the server answered without the task", Code.Internal);
  return task;
}

import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type Client,
  Code,
  type CallOptions as ConnectCallOptions,
  ConnectError,
  createClient,
  type Transport,
} from "@connectrpc/connect";
import { AgentService, type Task, type TaskRequestSchema, type TaskResponse, type TokenChunk } from "../contract/index.ts";
import { type CallDefaults, type CallOptions, callOptionsOf } from "./call-options.ts";
import { createMemoryThread, type MemoryThread } from "./memory.ts";
import { TaskCall, type TransportTraits } from "./task-call.ts";

/** What is asked: the question alone, or the contract's whole `TaskRequest`. */
export type TaskInput = string | MessageInitShape<typeof TaskRequestSchema>;

/**
 * The calls that an agent answers, and those of the memory beside it. Each failure is a ConnectError, whose `code` is the gRPC code and whose details are those
 * of `proto/agent/v1/agent.proto`.
 */
export interface AgentCalls {
  /**
   * Runs a task and gives the whole answer when it is finished or waits for tool results.
   *
   * A call whose connection breaks is made again, with the same `taskId` (a task without one gets one), until the deadline is over, or nothing
   * has answered for a minute; `onResume` tells. Servers that share a store, or that come back with it, run the task once.
   *
   * @throws ConnectError what the task failed with; NOT_FOUND for an unknown agent; ALREADY_EXISTS when the `taskId` stands for
   * another request.
   */
  process(task: TaskInput, options?: CallOptions): Promise<TaskResponse>;

  /**
   * Runs a task and gives its events as they come. Text is in `chunk.text`; pieces join without a separator.
   *
   * The call starts with the first read. Leaving the loop early stops it as the signal does. Can be read once. When its connection breaks or
   * its server dies it goes on after the last chunk that arrived, as {@link AgentCalls.process} does: no chunk is lost, and none comes twice.
   *
   * @throws ConnectError as {@link AgentCalls.process}; OUT_OF_RANGE for a `fromIndex` beyond the end; NOT_FOUND when the server came back
   * without the task.
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

  /**
   * The caller's tasks, those at work and those that have ended and are still kept, without their answers, in the order of their ids. They are asked
   * for by the hundred as they are read; where they are kept in a store, a task that comes meanwhile may be among them.
   *
   * @throws ConnectError what keeps the server from its store, such as UNAVAILABLE.
   */
  list(options?: CallOptions): AsyncIterable<Task>;

  /** A thread of the memory that the callers of the server share. Without a name it can only be searched: all threads are. */
  memory(thread?: string): MemoryThread;

  /** The same calls with this agent as the default one. The server checks the name, with the first call. */
  agent(name: string): AgentCalls;

  /** The same calls to the server's first agent that can do this, whatever its name. */
  capability(name: string): AgentCalls;
}

/** The calls over any Connect transport, in a browser or in Node. The transport stays the caller's. */
export function createAgentCalls(transport: Transport, defaults: CallDefaults = {}, traits: TransportTraits = {}): AgentCalls {
  const client = createClient(AgentService, transport);
  const callOf = (task: TaskInput, options: CallOptions) => {
    const { guardrails = defaults.guardrails ?? [] } = options;
    const request = requestOf(task, options, defaults);
    const call = (asked: typeof request) => new TaskCall(client, { request: asked, options, defaults, traits });
    if (guardrails.length === 0) return call(request);
    if (traits.guard === undefined) throw new TypeError("guardrails need connect({ guard: guardCall }), of convoke/guardrail");
    const { signal, timeoutMs = defaults.timeoutMs } = options;
    return traits.guard({ request, guardrails, signal, timeoutMs, start: () => call({ ...request, fromIndex: 0 }).stream() });
  };
  const withDefaults = (more: CallDefaults) => createAgentCalls(transport, { ...defaults, ...more }, traits);
  return {
    process: async (task, options = {}) => callOf(task, options).answer(),
    stream: (task, options = {}) => callOf(task, options).stream(),
    get: async (taskId, options = {}) => present((await client.getTask({ taskId }, callOptionsOf(options, defaults))).task),
    cancel: async (taskId, options = {}) =>
      present((await client.cancelTask({ taskId }, callOptionsOf(options, defaults))).task),
    list: (options = {}) => tasksOf(client, callOptionsOf(options, defaults)),
    memory: (thread = "") => createMemoryThread(thread, transport, defaults),
    agent: (name) => withDefaults({ agent: name, capability: "" }),
    capability: (name) => withDefaults({ agent: "", capability: name }),
  };
}

/** The request, with an id: its key when it is sent again. */
function requestOf(task: TaskInput, options: CallOptions, defaults: CallDefaults): MessageInitShape<typeof TaskRequestSchema> {
  const request = typeof task === "string" ? { content: task } : task;
  return {
    ...request,
    taskId: request.taskId || (request.content?.trim() ? newTaskId() : ""), // with an id, no content asks for a task that is there
    detached: request.detached ?? options.detached ?? defaults.detached ?? false,
    agentId: options.agent ?? (request.agentId || (defaults.agent ?? "")),
    capability: options.capability ?? (request.capability || (defaults.capability ?? "")),
  };
}

async function* tasksOf(
  client: Client<typeof AgentService>,
  options: ConnectCallOptions,
): AsyncGenerator<Task, void, undefined> {
  let pageToken = "";
  do {
    const page = await client.listTasks({ pageToken }, options);
    yield* page.tasks;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}

function present(task: Task | undefined): Task {
  if (task === undefined) throw new ConnectError("the server answered without the task", Code.Internal);
  return task;
}

/** A random id of 128 bits. */
function newTaskId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

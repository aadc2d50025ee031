import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { Agent } from "../agent/index.ts";
import {
  type AgentService,
  CancelTaskResponseSchema,
  GetTaskResponseSchema,
  ListTasksResponseSchema,
} from "../contract/index.ts";
import { type Envelope, readEnvelope } from "../core/index.ts";
import type { CallerIdentity } from "../identity/index.ts";
import {
  type Caller,
  converse,
  describeTask,
  processTask,
  streamTask,
  type TaskRuntime,
  validatePage,
  validateTaskId,
} from "../task/index.ts";
import { isConnectionLost, onCallAbort, requestField } from "../wire/index.ts";
import type { Access } from "./access.ts";

export interface AgentServiceOptions {
  readonly runtime: TaskRuntime;
  readonly access: Access;
  /** Aborted with a ConnectError when conversations without a running turn have to end. */
  readonly idle: AbortSignal;
  /** For callers by the contract as first published. Default false. */
  readonly isFirstContract?: boolean;
}

/** AgentService over the task runtime. */
export function createAgentService({ runtime, access, idle, isFirstContract = false }: AgentServiceOptions) {
  const callerOf = (context: HandlerContext) => new ContextCaller(context, access, isFirstContract);
  return {
    processTask: (request, context) => processTask(runtime, request, callerOf(context)),
    streamResponse: (request, context) => streamTask(runtime, request, callerOf(context)),
    converse: (requests, context) => converse(runtime, requests, { caller: callerOf(context), idle }),
    async getTask({ taskId }, context) {
      validateTaskId(taskId, runtime.limits);
      const record = await runtime.find(taskId, access.callerOf(context));
      return create(GetTaskResponseSchema, { task: describeTask(record) });
    },
    async cancelTask({ taskId, leaving }, context) {
      validateTaskId(taskId, runtime.limits);
      const record = await runtime.cancel(taskId, access.callerOf(context), { leaving });
      return create(CancelTaskResponseSchema, { task: describeTask(record) });
    },
    async listTasks({ pageSize, pageToken }, context) {
      const limit = validatePage({ pageSize, pageToken }, runtime.limits);
      const tasks = await runtime.list(access.callerOf(context), { after: pageToken, limit });
      const nextPageToken = tasks.length === limit ? (tasks.at(-1)?.taskId ?? "") : "";
      return create(ListTasksResponseSchema, { tasks, nextPageToken });
    },
  } satisfies ServiceImpl<typeof AgentService>;
}

/** The caller of a call. Its signal is asked for only where it is needed, since it has to be made first. */
class ContextCaller implements Caller {
  readonly identity: CallerIdentity;
  readonly timeoutMs: number | undefined;
  readonly isOfFirstContract: boolean;
  readonly #context: HandlerContext;
  readonly #access: Access;
  #envelope: Envelope | undefined;

  constructor(context: HandlerContext, access: Access, isOfFirstContract: boolean) {
    this.isOfFirstContract = isOfFirstContract;
    this.identity = access.callerOf(context);
    this.#access = access;
    this.timeoutMs = context.timeoutMs();
    this.#context = context;
  }

  mayAsk(agent: Agent): void {
    this.#access.checkAgent(this.#context, agent);
  }

  get envelope(): Envelope {
    this.#envelope ??= readEnvelope((name) => requestField(this.#context, name));
    return this.#envelope;
  }

  get isLost(): boolean {
    const { signal } = this.#context;
    return signal.aborted && isConnectionLost(signal.reason);
  }

  get signal(): AbortSignal {
    return this.#context.signal;
  }

  onLeave(listener: (reason: unknown) => void): () => void {
    return onCallAbort(this.#context, listener);
  }
}

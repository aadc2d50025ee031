import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { type AgentService, CancelTaskResponseSchema, GetTaskResponseSchema } from "../contract/index.ts";
import { type Caller, converse, processTask, streamTask, type TaskRuntime, validateTaskId } from "../task/index.ts";
import { onCallAbort } from "../wire/index.ts";

/** The identity of callers that proved none. */
const anonymous = "anonymous";

export interface AgentServiceOptions {
  readonly runtime: TaskRuntime;
  /** Aborted with a ConnectError when conversations without a running turn have to end. */
  readonly idle: AbortSignal;
}

/** AgentService over the task runtime. */
export function createAgentService({ runtime, idle }: AgentServiceOptions) {
  return {
    processTask: (request, context) => processTask(runtime, request, new ContextCaller(context)),
    streamResponse: (request, context) => streamTask(runtime, request, new ContextCaller(context)),
    converse: (requests, context) => converse(runtime, requests, { caller: new ContextCaller(context), idle }),
    getTask(request) {
      validateTaskId(request.taskId, runtime.limits);
      return create(GetTaskResponseSchema, { task: runtime.find(request.taskId, anonymous).describe() });
    },
    cancelTask(request) {
      validateTaskId(request.taskId, runtime.limits);
      return create(CancelTaskResponseSchema, { task: runtime.cancel(request.taskId, anonymous).describe() });
    },
  } satisfies ServiceImpl<typeof AgentService>;
}

/** The caller of a call. Its signal is asked for only where it is needed, since it has to be made first. */
class ContextCaller implements Caller {
  readonly identity = anonymous;
  readonly timeoutMs: number | undefined;
  readonly #context: HandlerContext;

  constructor(context: HandlerContext) {
    this.timeoutMs = context.timeoutMs();
    this.#context = context;
  }

  get signal(): AbortSignal {
    return this.#context.signal;
  }

  onLeave(listener: (reason: unknown) => void): () => void {
    return onCallAbort(this.#context, listener);
  }
}

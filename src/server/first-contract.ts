import { create } from "@bufbuild/protobuf";
import type { ConnectError, HandlerContext, ServiceImpl } from "@connectrpc/connect";
import * as first from "../../gen/agent/agent_pb.js";
import { type ConverseRequest, ConverseRequestSchema, Status, type TaskRequest, TaskRequestSchema } from "../contract/index.ts";
import { unavailable } from "../core/index.ts";
import type { createAgentService } from "./agent-service.ts";

type Handlers = ReturnType<typeof createAgentService>;

/** Serves the contract as first published (`proto/agent/agent.proto`) from the handlers of today's. */
export function createFirstContract(handlers: Handlers): ServiceImpl<typeof first.AgentService> {
  return {
    async processTask(request, context) {
      const {
        content = "",
        taskId = "",
        toolCalls = [],
        usage,
        status,
      } = await handlers.processTask(upgrade(request), context);
      return {
        taskId,
        content,
        toolCalls: toolCalls.map(({ callId, toolName, argumentsJson }) => ({ callId, toolName, argumentsJson })),
        usage: { promptTokens: usage?.promptTokens ?? 0, completionTokens: usage?.completionTokens ?? 0 },
        status: downgradeStatus(status),
      };
    },
    async *streamResponse(request, context) {
      let index = 0;
      for await (const { taskId, text, isFinal, restartedFrom } of handlers.streamResponse(upgrade(request), context)) {
        if (restartedFrom !== undefined && index > 0) throw begunAnew();
        if (text !== "" || isFinal) yield { taskId, text, isFinal, index: index++ };
      }
    },
    converse: (requests, context) => converse(handlers, requests, context),
  };
}

async function* converse(handlers: Handlers, requests: AsyncIterable<first.ConverseRequest>, context: HandlerContext) {
  let index = 0;
  for await (const { taskId, event } of handlers.converse(turns(requests), context)) {
    if (event.case === "restartedFrom" && index > 0) throw begunAnew();
    if (event.case === "text") yield create(first.ConverseResponseSchema, { taskId, text: event.value, index: index++ });
    if (event.case !== "turnFinished") continue;
    const { status, error } = event.value;
    const text = error?.message ?? "";
    yield create(first.ConverseResponseSchema, { taskId, text, isFinal: true, index, status: downgradeStatus(status) });
    index = 0;
  }
}

/** This contract cannot say that what was sent is void. */
function begunAnew(): ConnectError {
  return unavailable("the server that ran the task died, and its agent begins anew; ask again", 1_000);
}

async function* turns(requests: AsyncIterable<first.ConverseRequest>): AsyncGenerator<ConverseRequest> {
  for await (const { taskId, agentId, content, metadata } of requests) {
    yield create(ConverseRequestSchema, { agentId, action: { case: "startTurn", value: { taskId, content, metadata } } });
  }
}

function upgrade({ taskId, agentId, content, metadata, availableTools }: first.TaskRequest): TaskRequest {
  const tools = availableTools.map(({ name, description, parametersJsonSchema }) => ({
    name,
    description,
    parametersJsonSchema,
  }));
  return create(TaskRequestSchema, { taskId, agentId, content, metadata, availableTools: tools });
}

function downgradeStatus(status: Status): first.Status {
  if (status === Status.COMPLETED) return first.Status.COMPLETED;
  return status === Status.REQUIRES_TOOL_CALL ? first.Status.REQUIRES_TOOL_CALL : first.Status.ERROR;
}

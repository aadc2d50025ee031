import { create } from "@bufbuild/protobuf";
import type { ConnectError, HandlerContext, ServiceImpl } from "@connectrpc/connect";
import * as first from "../../gen/agent/agent_pb.js";
import {
  type ConverseRequest,
  ConverseRequestSchema,
  GetTaskRequestSchema,
  type InputRequest,
  Status,
  type TaskRequest,
  TaskRequestSchema,
} from "../contract/index.ts";
import { failedPrecondition, unavailable } from "../core/index.ts";
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
        inputRequests = [],
      } = await handlers.processTask(upgrade(request), context);
      if (status === Status.REQUIRES_INPUT) throw waitsForInput(taskId, inputRequests);
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
      for await (const chunk of handlers.streamResponse(upgrade(request), context)) {
        const { taskId, text, isFinal, restartedFrom, status } = chunk;
        if (restartedFrom !== undefined && index > 0) throw begunAnew();
        if (isFinal && status === Status.REQUIRES_INPUT) throw await waits(handlers, taskId, context);
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
    const isWaiting = status === Status.REQUIRES_INPUT;
    const text = error?.message ?? (isWaiting ? (await waits(handlers, taskId, context)).rawMessage : "");
    yield create(first.ConverseResponseSchema, { taskId, text, isFinal: true, index, status: downgradeStatus(status) });
    index = 0;
  }
}

/** This contract cannot say that what was sent is void. */
function begunAnew(): ConnectError {
  return unavailable("the server that ran the task died, and its agent begins anew; ask again", 1_000);
}

/** Why a task has no answer yet. */
async function waits(handlers: Handlers, taskId: string, context: HandlerContext): Promise<ConnectError> {
  const { task } = await handlers.getTask(create(GetTaskRequestSchema, { taskId }), context);
  return waitsForInput(taskId, task?.response?.inputRequests ?? []);
}

/** Characters of what is asked; it travels in a trailer. */
const maxPromptChars = 300;

/** This contract can neither say what is asked nor carry an answer. */
function waitsForInput(taskId: string, requests: readonly InputRequest[]): ConnectError {
  const prompts = requests.map(({ prompt }) => prompt).join("; ");
  const start = prompts.slice(0, maxPromptChars).replace(/[\ud800-\udbff]$/, ""); // half a character cannot be sent
  const asked = prompts.length > maxPromptChars ? `${start}…` : prompts;
  const how = `"convoke tasks answer", or inputs by agent.v1; then ask again with this task_id`;
  const description = `task "${taskId}" waits for somebody's answer${asked === "" ? "" : ` (${asked})`}: give it by ${how}`;
  return failedPrecondition({ type: "INPUT", subject: taskId, description });
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

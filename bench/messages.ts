import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import {
  ConverseRequestSchema,
  type ConverseResponse,
  ConverseResponseSchema,
  Status,
  TaskRequestSchema,
  type TaskResponse,
  TaskResponseSchema,
  type TokenChunk,
  TokenChunkSchema,
} from "convoke/contract";

/** What every request asks and every server answers: about 100 bytes of text each way, as agents send them. */
export const question =
  "Find thirty minutes with Ana and Ben next Tuesday or Wednesday, not before ten, and tell me why that slot.";
export const answer =
  "Tuesday 14:30 to 15:00 works: Ana leaves her review at 14:15, and Ben has nothing before 16:00 that day.";

/** No task_id: with one, the agent API would answer from its log instead of running the agent again. */
export const taskRequest = create(TaskRequestSchema, { agentId: "schedule", content: question });

/** The same to several agents. */
export const taskRequests = ["schedule", "research", "calculate", "summarize"].map((agentId) =>
  create(TaskRequestSchema, { agentId, content: question }),
);

/** One message of a client that sends many. */
export const turnRequest = create(ConverseRequestSchema, {
  action: { case: "startTurn", value: { taskId: "task-000001", content: question } },
});

/** Messages of one server stream. */
export const chunksPerStream = 2_000;

/** This question makes StreamResponse send one chunk and then wait until the caller leaves. */
export const idleQuestion = "idle";

/** Built anew for each call by every server that speaks protobuf, as an agent's answer would be. */
export function createReply(): TaskResponse {
  return create(TaskResponseSchema, {
    taskId: "task-000001",
    content: answer,
    usage: { promptTokens: 128, completionTokens: 32 },
    status: Status.COMPLETED,
  });
}

/** The same answer for REST. */
export function createRestReply() {
  return {
    taskId: "task-000001",
    content: answer,
    usage: { promptTokens: 128, completionTokens: 32 },
    status: "STATUS_COMPLETED",
  };
}

export function createChunk(index: number, taskId = "task-000001"): TokenChunk {
  return create(TokenChunkSchema, { taskId, text: " Tuesday", index });
}

/** A request to an agent that streams so many chunks. */
export function createStreamRequest({ agentId, chunks, taskId = "" }: { agentId: string; chunks: number; taskId?: string }) {
  return create(TaskRequestSchema, { agentId, taskId, content: question, metadata: { chunks: String(chunks) } });
}

/** How many chunks such a request asks for. */
export function chunksAskedFor(metadata: Readonly<Record<string, string>>): number {
  return Number(metadata["chunks"] ?? chunksPerStream);
}

/** How a server tells the number of messages that it counted. */
export function createCount(messages: number): ConverseResponse {
  return create(ConverseResponseSchema, { taskId: "task-000001", index: messages, event: { case: "text", value: "" } });
}

/** Fails a run whose calls do not do their work. */
export function checkReply(content: unknown): void {
  if (content !== answer) throw new Error(`the answer is not the expected one: ${JSON.stringify(content)}`);
}

/** The envelope that gRPC, gRPC-Web and Connect streaming put around a message: one byte of flags, four of length. */
export function envelope(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

export const requestBytes = toBinary(TaskRequestSchema, taskRequest);
export const requestJson = toJsonString(TaskRequestSchema, taskRequest);
export const idleRequestBytes = toBinary(TaskRequestSchema, create(TaskRequestSchema, { content: idleQuestion }));

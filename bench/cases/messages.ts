import { create, type DescMessage, type MessageShape, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Status, TaskRequestSchema, TaskResponseSchema, TokenChunkSchema } from "convoke/contract";
import { writeMessage } from "convoke/wire";
import type { BenchCase, Subject } from "../case.ts";
import { answer, createChunk, question } from "../messages.ts";

const task = create(TaskRequestSchema, {
  taskId: "4f1c1d1e-6a53-4c9d-9f6e-0c5d7a1b2c3d",
  agentId: "schedule",
  content: question,
  metadata: { locale: "en-GB", timezone: "Europe/London" },
  availableTools: [{ name: "calendar.find", description: "Finds free slots.", parametersJsonSchema: '{"type":"object"}' }],
});

const answerWithToolCalls = create(TaskResponseSchema, {
  taskId: "4f1c1d1e-6a53-4c9d-9f6e-0c5d7a1b2c3d",
  content: answer,
  toolCalls: ["ana", "ben"].map((person) => ({
    callId: `call-${person}`,
    toolName: "calendar.find",
    argumentsJson: `{"person":"${person}","minutes":30}`,
  })),
  usage: { promptTokens: 128, completionTokens: 32 },
  status: Status.REQUIRES_TOOL_CALL,
});

const messages = [
  describe(TaskRequestSchema, task),
  describe(TaskResponseSchema, answerWithToolCalls),
  describe(TokenChunkSchema, createChunk(17)),
];

function describe<Schema extends DescMessage>(schema: Schema, message: MessageShape<Schema>) {
  return {
    protobuf: toBinary(schema, message).length,
    json: Buffer.byteLength(toJsonString(schema, message)),
    write: () => writeMessage(schema, message),
    toBinary: () => toBinary(schema, message),
  };
}

/** Writes each of the messages again and again, for a third of the time. */
function writing(name: string, writer: "write" | "toBinary"): Subject {
  const trial = async (durationMs: number) =>
    messages.map((message) => countPerSecond(message[writer], durationMs / messages.length));
  return { name, start: async () => trial };
}

function countPerSecond(write: () => Uint8Array, durationMs: number): number {
  const atOnce = 1_000; // between looks at the clock
  const startMs = performance.now();
  let count = 0;
  for (; performance.now() - startMs < durationMs; count += atOnce) for (let time = 0; time < atOnce; time++) write();
  return (count / (performance.now() - startMs)) * 1_000;
}

export const cases: readonly BenchCase[] = [
  {
    name: "message-size",
    title: "Size of a message in protobuf and in JSON",
    unit: "bytes",
    better: "lower",
    ours: "protobuf",
    runs: 1,
    parts: ["task", "answer", "chunk"],
    subjects: [
      { name: "protobuf", start: async () => async () => messages.map(({ protobuf }) => protobuf) },
      { name: "JSON", start: async () => async () => messages.map(({ json }) => json) },
    ],
  },
  {
    name: "message-write",
    title: "Writing a message in protobuf, byte for byte the same",
    unit: "messages/s",
    better: "higher",
    parts: ["task", "answer", "chunk"],
    subjects: [writing("convoke", "write"), writing("protobuf-es", "toBinary")],
  },
];

import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import type { LanguageModel } from "ai";
import { z } from "zod";
import { defineTool, type ModelAgentDefinition, modelAgent, Status } from "../src/index.ts";
import { startClient } from "./support/server.ts";
import { taskPlaces } from "./support/task-places.ts";

const closing = new Set<() => void>();
afterAll(() => {
  for (const close of closing) close();
});

/** A server that streams each list of events in its turn, and keeps what it was asked. */
async function startProvider(...answers: readonly (readonly object[])[]) {
  const asked: Record<string, unknown>[] = [];
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const bytes of request) text += bytes;
    stream(response, answers[asked.push(JSON.parse(text)) - 1] ?? []);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.add(() => server.close());
  const { port } = server.address() as AddressInfo; // it listens on a port
  return { baseURL: `http://127.0.0.1:${port}/v1`, asked };
}

function stream(response: ServerResponse, events: readonly object[]): void {
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const event of events) response.write(`data: ${JSON.stringify(event)}\n\n`);
  response.end();
}

const anthropicBegin = {
  type: "message_start",
  message: {
    id: "m",
    type: "message",
    role: "assistant",
    model: "claude",
    content: [],
    usage: { input_tokens: 3, output_tokens: 1 },
  },
};

function anthropicEnd(reason: string): object[] {
  return [
    { type: "message_delta", delta: { stop_reason: reason, stop_sequence: null }, usage: { output_tokens: 2 } },
    { type: "message_stop" },
  ];
}

function anthropicBlock(index: number, content_block: object, deltas: readonly object[]): object[] {
  return [
    { type: "content_block_start", index, content_block },
    ...deltas.map((delta) => ({ type: "content_block_delta", index, delta })),
    { type: "content_block_stop", index },
  ];
}

const anthropicCalls = [
  anthropicBegin,
  ...anthropicBlock(0, { type: "thinking", thinking: "", signature: "" }, [
    { type: "thinking_delta", thinking: "The chair, " },
    { type: "thinking_delta", thinking: "then." },
    { type: "signature_delta", signature: "signed-by-anthropic" },
  ]),
  ...anthropicBlock(1, { type: "text", text: "" }, [{ type: "text_delta", text: "I will order it." }]),
  ...anthropicBlock(2, { type: "tool_use", id: "call-1", name: "order", input: {} }, [
    { type: "input_json_delta", partial_json: '{"what":"chair"}' },
  ]),
  ...anthropicEnd("tool_use"),
];
const anthropicEnds = [
  anthropicBegin,
  ...anthropicBlock(0, { type: "text", text: "" }, [{ type: "text_delta", text: " Done." }]),
  ...anthropicEnd("end_turn"),
];

const googleCalls = [
  googleChunk([{ text: "The chair, then.", thought: true }]),
  googleChunk([{ text: "I will order it." }]),
  googleChunk(
    [{ functionCall: { id: "call-1", name: "order", args: { what: "chair" } }, thoughtSignature: "signed-by-google" }],
    "STOP",
  ),
];
const googleEnds = [googleChunk([{ text: " Done." }], "STOP")];

function googleChunk(parts: readonly object[], finishReason?: string): object {
  const usageMetadata = { promptTokenCount: 3, candidatesTokenCount: 2, totalTokenCount: 5 };
  return {
    candidates: [{ content: { role: "model", parts }, index: 0, ...(finishReason && { finishReason }) }],
    usageMetadata,
  };
}

interface Provider {
  readonly name: string;
  readonly answers: readonly (readonly object[])[];
  model(baseURL: string): LanguageModel;
  /** Of the second request: what the model has said. */
  said(asked: Record<string, unknown>): unknown;
  readonly saidBefore: readonly unknown[];
  readonly providerOptions: NonNullable<ModelAgentDefinition["providerOptions"]>;
  /** What they make of a request. */
  readonly told: object;
}

const providers: readonly Provider[] = [
  {
    name: "Anthropic",
    answers: [anthropicCalls, anthropicEnds],
    model: (baseURL) => createAnthropic({ baseURL, apiKey: "k" })("claude-sonnet-4-5"),
    said: ({ messages }) => (messages as { content: unknown }[])[1]?.content, // as the protocol has it
    saidBefore: [
      { type: "thinking", thinking: "The chair, then.", signature: "signed-by-anthropic" },
      { type: "text", text: "I will order it." },
      { type: "tool_use", id: "call-1", name: "order", input: { what: "chair" } },
    ],
    providerOptions: { anthropic: { thinking: { type: "enabled", budgetTokens: 2_000 } } },
    told: { thinking: { type: "enabled", budget_tokens: 2_000 } },
  },
  {
    name: "Google",
    answers: [googleCalls, googleEnds],
    model: (baseURL) => createGoogleGenerativeAI({ baseURL, apiKey: "k" })("gemini-3-pro-preview"),
    said: ({ contents }) => (contents as { parts: unknown }[])[1]?.parts, // as the protocol has it
    saidBefore: [
      { text: "I will order it." },
      expect.objectContaining({
        functionCall: expect.objectContaining({ name: "order" }),
        thoughtSignature: "signed-by-google",
      }),
    ],
    providerOptions: { google: { thinkingConfig: { includeThoughts: true } } },
    told: { generationConfig: { thinkingConfig: { includeThoughts: true } } },
  },
];

const order = { name: "order", input: z.object({ what: z.string() }), run: ({ what }: { what: string }) => `${what} ordered` };

describe.each(providers)("a model of $name", ({ answers, model, said, saidBefore, providerOptions, told }) => {
  test.each(taskPlaces)(
    "that goes on when its call is approved is told its thoughts as they were signed, in %s",
    async (_place, open) => {
      const { baseURL, asked } = await startProvider(...answers);
      const tools = [defineTool({ ...order, approve: true })];
      const more = { cites: false, maxRetries: 0, providerOptions };
      const agent = modelAgent({ name: "buyer", model: model(baseURL), tools, ...more });
      const agents = await startClient({ ...(await open()), agents: [agent] });
      const waiting = await agents.process({ taskId: "t", content: "A chair, please." });
      expect(waiting.status).toBe(Status.REQUIRES_INPUT);
      const inputs = waiting.inputRequests.map(({ inputId }) => ({ inputId, approved: true }));
      expect((await agents.process({ taskId: "t", inputs })).content).toBe("I will order it. Done.");
      expect(said(asked[1] ?? {})).toEqual(saidBefore);
      for (const request of asked) expect(request).toMatchObject(told);
    },
  );

  test("that calls its caller's tool is told, too, and callers see nothing of it", async () => {
    const { baseURL, asked } = await startProvider(...answers);
    const agents = await startClient({ agents: [modelAgent({ name: "buyer", model: model(baseURL), maxRetries: 0 })] });
    const answer = await agents.process("A chair, please.", { tools: [defineTool(order)] });
    expect(answer.content).toBe("I will order it. Done.");
    expect(said(asked[1] ?? {})).toEqual(saidBefore);
    const { taskId } = answer;
    for await (const { toolCall } of agents.stream({ taskId })) if (toolCall !== undefined) answer.toolCalls.push(toolCall);
    expect(answer.toolCalls.map(({ callId }) => callId)).toEqual(["call-1", "call-1"]);
    expect(JSON.stringify(answer)).not.toContain("signed");
  });
});

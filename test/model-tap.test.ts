import { tracingChannel } from "node:diagnostics_channel";
import { setImmediate as nextTick } from "node:timers/promises";
import { AI_SDK_TELEMETRY_TRACING_CHANNEL, type LanguageModel } from "ai";
import { z } from "zod";
import type { TokenChunk } from "../src/contract/index.ts";
import { type Agent, Code, defineAgent, defineTool, modelAgent } from "../src/index.ts";
import { failure } from "./support/failure.ts";
import { startClient } from "./support/server.ts";

type Model = Extract<LanguageModel, { specificationVersion: "v4" }>;
type ModelStream = Awaited<ReturnType<Model["doStream"]>>["stream"];
type ModelPart = ModelStream extends ReadableStream<infer Each> ? Each : never;

const look = defineTool({ name: "look", input: z.object({ at: z.string() }), run: ({ at }) => `seen ${at}` });
const pieces = Array.from({ length: 100 }, (_, index) => `${index} `);

function block(kind: "text" | "reasoning", id: string, deltas: readonly string[]): ModelPart[] {
  return [
    { type: `${kind}-start`, id },
    ...deltas.map((delta) => ({ type: `${kind}-delta`, id, delta }) as const), // the kind is one of two
    { type: `${kind}-end`, id },
  ];
}

function lookAt(toolCallId: string, at: string): ModelPart {
  return { type: "tool-call", toolCallId, toolName: "look", input: JSON.stringify({ at }) };
}

const silent = {
  specificationVersion: "v4",
  provider: "scripted",
  modelId: "scripted-1",
  supportedUrls: {},
  doGenerate: () => Promise.reject(new Error("it streams")),
} as const; // the version is one of several

const thinking = block("reasoning", "r", ["Well, ", "well. "]);
const signed: ModelPart = { type: "reasoning-delta", id: "r", delta: "", providerMetadata: { scripted: { signature: "s" } } };
const looking: ModelPart[] = [
  ...thinking.toSpliced(-1, 0, signed),
  ...block("text", "a", pieces),
  lookAt("c1", "this"),
  ...block("text", "b", ["and ", "", "so "]),
  lookAt("c2", "that"),
];

/** What happened, with texts that follow each other as one. */
async function story(chunks: AsyncIterable<TokenChunk>) {
  const told: string[][] = [];
  let texts = 0;
  const tell = (what: string, said: string) => {
    const last = told.at(-1);
    if (what === "says" && last?.[0] === what) last[1] += said;
    else told.push([what, said]);
  };
  for await (const { text, reasoning, toolCall, toolResult, usage } of chunks) {
    if (text !== "") {
      texts++;
      tell("says", text);
    }
    if (reasoning !== undefined) tell("thinks", reasoning);
    if (toolCall !== undefined) tell("calls", toolCall.callId);
    if (toolResult !== undefined) tell("is told", toolResult.callId);
    if (usage !== undefined) tell("takes", `${usage.promptTokens} tokens`);
  }
  return { told, texts };
}

/** The same agent, which takes its time with each event. */
function slowed(agent: Agent): Agent {
  return defineAgent({
    name: "slowed",
    async *run(task, ctx) {
      for await (const event of agent.run(task, ctx)) {
        await nextTick();
        yield event;
      }
    },
  });
}

test.each<[what: string, as: (agent: Agent) => Agent]>([
  ["an agent", (agent) => agent],
  ["one that is slower than its model", slowed],
])(
  "%s gives each piece as an event, whole and in order with the calls, and the model is told all that it said",
  async (_, as) => {
    const { model, asked } = createScripted([looking, "tool-calls"], [block("text", "c", pieces), "stop"]);
    const agents = await startClient({ agents: [as(modelAgent({ name: "model", model, tools: [look], cites: false }))] });
    const { told, texts } = await story(agents.stream("look around"));
    expect(told).toEqual([
      ["thinks", "Well, "],
      ["thinks", "well. "],
      ["says", pieces.join("")],
      ["calls", "c1"],
      ["says", "and so "],
      ["calls", "c2"],
      ["is told", "c1"],
      ["is told", "c2"],
      ["takes", "1 tokens"],
      ["says", pieces.join("")],
      ["takes", "1 tokens"],
    ]);
    expect(texts).toBe(2 * pieces.length + 2);
    expect(asked[1]?.prompt[1]?.content).toMatchObject([
      { type: "reasoning", text: "Well, well. ", providerOptions: { scripted: { signature: "s" } } },
      { type: "text", text: pieces.join("") },
      { type: "tool-call", toolCallId: "c1" },
      { type: "text", text: "and so " },
      { type: "tool-call", toolCallId: "c2" },
    ]);
  },
);

test("a block of text without an end is told, too", async () => {
  const open = block("text", "a", ["so ", "far"]).slice(0, -1);
  const { model, asked } = createScripted([[...open, lookAt("c", "it")], "tool-calls"], [[], "stop"]);
  const agents = await startClient({ agents: [modelAgent({ name: "model", model, tools: [look], cites: false })] });
  expect((await agents.process("go")).content).toBe("so far");
  expect(asked[1]?.prompt[1]?.content).toMatchObject([{ type: "text", text: "so far" }, { toolCallId: "c" }]);
});

/** A model that says each list in its turn, without a pause. */
function createScripted(...answers: readonly (readonly [said: readonly ModelPart[], reason: "stop" | "tool-calls"])[]) {
  const asked: Parameters<Model["doStream"]>[0][] = [];
  const inputTokens = { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 };
  const usage = { inputTokens, outputTokens: { total: 1, text: 1, reasoning: 0 } };
  const model: Model = {
    ...silent,
    doStream: async (options) => {
      const [said = [], unified = "stop"] = answers[asked.push(options) - 1] ?? [];
      const finish: ModelPart = { type: "finish", finishReason: { unified, raw: undefined }, usage };
      const stream: ModelStream = new ReadableStream({
        start(controller) {
          controller.enqueue({ type: "stream-start", warnings: [] });
          for (const part of [...said, finish]) controller.enqueue(part);
          controller.close();
        },
      });
      return { stream };
    },
  };
  return { model, asked };
}

test("a model that never waits is stopped with its task, and the process goes on", async () => {
  let isStopped = () => {};
  const stopped = new Promise<void>((resolve) => {
    isStopped = resolve;
  });
  const agents = await startClient({ agents: [modelAgent({ name: "endless", model: createEndless(isStopped) })] });
  const left = new AbortController();
  const call = async () => {
    for await (const { text } of agents.stream("go", { signal: left.signal })) if (text !== "") left.abort();
  };
  expect(await failure(call())).toMatchObject({ code: Code.Canceled });
  await stopped;
});

test("a model that says nothing, and does not heed its signal, is silent for too long", async () => {
  const stream: ModelStream = new ReadableStream({
    start: (controller) => controller.enqueue({ type: "stream-start", warnings: [] }),
  });
  const model: Model = { ...silent, doStream: async () => ({ stream }) };
  const agents = await startClient({ agents: [modelAgent({ name: "mute", model, limits: { firstChunkMs: 50 } })] });
  const error = await failure(agents.process("go", { resumeForMs: 0 }));
  expect(error).toMatchObject({ code: Code.Unavailable, rawMessage: "the model was silent for too long" });
});

test("who listens to the AI SDK's telemetry is told", async () => {
  const { model } = createScripted([block("text", "a", ["so ", "far"]), "stop"]);
  const agents = await startClient({ agents: [modelAgent({ name: "model", model })] });
  const told: string[] = [];
  const channel = tracingChannel(AI_SDK_TELEMETRY_TRACING_CHANNEL);
  const listeners = { start: () => void told.push("start") };
  channel.start.subscribe(listeners.start);
  await agents.process("go");
  channel.start.unsubscribe(listeners.start);
  expect(told).not.toEqual([]);
});

/** Has another piece whenever it is asked for one. */
function createEndless(cancel: () => void): Model {
  const stream: ModelStream = new ReadableStream({
    start(controller) {
      controller.enqueue({ type: "stream-start", warnings: [] });
      controller.enqueue({ type: "text-start", id: "0" });
    },
    pull: (controller) => controller.enqueue({ type: "text-delta", id: "0", delta: "on and " }),
    cancel,
  });
  return { ...silent, doStream: async () => ({ stream }) };
}

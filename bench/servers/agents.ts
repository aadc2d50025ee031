import { setTimeout as delay } from "node:timers/promises";
import type { LanguageModel } from "ai";
import { connect, defineAgent, fanOut, modelAgent, serve } from "convoke";
import { runServer } from "./server.ts";

/** What a model's answer has; a token is a piece of text. Brief ones warm the process up. */
const tokens = 10_000;
const briefTokens = 10;
const workMs = 50;
const specialists = ["schedule", "research", "calculate", "summarize"];

type Model = Extract<LanguageModel, { specificationVersion: "v4" }>;
type Part = Awaited<ReturnType<Model["doStream"]>>["stream"] extends ReadableStream<infer Each> ? Each : never;

/** A model that has each token when it is asked for it, so that all the time is what is around it. */
const scripted = (tokens: number): Model => ({
  specificationVersion: "v4",
  provider: "scripted",
  modelId: "scripted-1",
  supportedUrls: {},
  doGenerate: () => Promise.reject(new Error("it streams")),
  doStream: async () => {
    const parts = answerParts(tokens);
    const stream = new ReadableStream<Part>({
      pull(controller) {
        const { value, done } = parts.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
    });
    return { stream };
  },
});

function* answerParts(tokens: number): Generator<Part> {
  yield { type: "stream-start", warnings: [] };
  yield { type: "text-start", id: "0" };
  for (let token = 0; token < tokens; token++) yield { type: "text-delta", id: "0", delta: " Tuesday" };
  yield { type: "text-end", id: "0" };
  const inputTokens = { total: 100, noCache: 100, cacheRead: 0, cacheWrite: 0 };
  const outputTokens = { total: tokens, text: tokens, reasoning: 0 };
  yield { type: "finish", finishReason: { unified: "stop", raw: "stop" }, usage: { inputTokens, outputTokens } };
}

/** The same without a model, and without the AI SDK. */
const plain = (name: string, tokens: number) =>
  defineAgent({
    name,
    async *run() {
      for (let token = 0; token < tokens; token++) yield " Tuesday";
    },
  });

const asking = defineAgent({
  name: "asking",
  async *run({ content }, ctx) {
    const asks = specialists.map((name) => ({ agent: ctx.agents.capability(name), content }));
    for (const { content: answer } of await fanOut(asks)) yield answer;
  },
});

const quiet = { port: 0, signals: false, log: { level: "warn" } } as const;

await runServer(async () => {
  const registry = await serve({ ...quiet, agents: [], registry: true });
  const register = { registry: registry.url };
  const agents = specialists.map((name) =>
    defineAgent({
      name,
      capabilities: [name],
      async *run() {
        await delay(workMs);
        yield "done ";
      },
    }),
  );
  await serve({ ...quiet, agents, register });
  const found = connect({ ...register, waitForReady: true });
  for (const name of specialists) await found.capability(name).process("are you there?");
  found.close();
  const streaming = [
    modelAgent({ name: "model", model: scripted(tokens) }),
    modelAgent({ name: "model-brief", model: scripted(briefTokens) }),
    plain("plain", tokens),
    plain("plain-brief", briefTokens),
  ];
  const { port } = await serve({ ...quiet, agents: [...streaming, asking], discover: register });
  return port;
});

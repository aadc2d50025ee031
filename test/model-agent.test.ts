import { z } from "zod";
import { RetryInfoSchema } from "../src/contract/index.ts";
import {
  type Agents,
  Code,
  createMemoryStore,
  defineTool,
  type ModelAgentDefinition,
  modelAgent,
  modelFromEnvironment,
  Status,
} from "../src/index.ts";
import { failure } from "./support/failure.ts";
import { type Answer, begin, calling, finish, refusing, saying, send, startModel } from "./support/model-server.ts";
import { startClient, startServer } from "./support/server.ts";

const add = defineTool({
  name: "add",
  description: "Adds two numbers.",
  input: z.object({ a: z.number(), b: z.number() }),
  run: ({ a, b }) => ({ sum: a + b }),
});

/** A client of an agent whose model answers so. */
async function start(answers: readonly Answer[], more: Partial<ModelAgentDefinition> = {}) {
  const { model, asked } = await startModel(...answers);
  const agents = await startClient({ agents: [modelAgent({ name: "model", model, maxRetries: 0, ...more })] });
  return { agents, asked };
}

/** The events of a task, each in a few words. */
async function eventsOf(agents: Agents, content: string): Promise<unknown[]> {
  const events: unknown[] = [];
  for await (const { text, reasoning, toolCall, toolResult, usage, status } of agents.stream(content)) {
    if (text !== "") events.push(text);
    if (reasoning !== undefined) events.push(["thinks", reasoning]);
    if (toolCall !== undefined) events.push([toolCall.callId, toolCall.toolName, toolCall.argumentsJson]);
    if (toolResult !== undefined)
      events.push([toolResult.callId, toolResult.isError ? "error" : "result", toolResult.resultJson]);
    if (usage !== undefined) events.push(["tokens", usage.promptTokens, usage.completionTokens]);
    if (status !== Status.UNSPECIFIED) events.push(Status[status]);
  }
  return events;
}

describe("what the model says", () => {
  test("is the task's text as it streams, with what it cost", async () => {
    const { agents, asked } = await start([saying("Hello", " there", ".")], { system: "Be brief." });
    expect(await eventsOf(agents, "hi")).toEqual(["Hello", " there", ".", ["tokens", 3, 2], "COMPLETED"]);
    expect(asked[0]?.messages).toEqual([
      { role: "system", content: "Be brief." },
      { role: "user", content: "hi" },
    ]);
    expect(await agents.process("hi")).toMatchObject({
      content: "Hello there.",
      usage: { promptTokens: 3, completionTokens: 2 },
    });
  });

  test("comes before it is all there", async () => {
    let goOn = () => {};
    const waiting: Answer = async (response) => {
      begin(response);
      send(response, { content: "first" });
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
      send(response, { content: "last" });
      finish(response);
    };
    const { agents } = await start([waiting]);
    const texts: string[] = [];
    for await (const { text } of agents.stream("hi")) {
      if (text === "first") goOn();
      if (text !== "") texts.push(text);
    }
    expect(texts).toEqual(["first", "last"]);
  });

  test("before it answers is no part of the answer", async () => {
    const thinking: Answer = (response) => {
      begin(response);
      send(response, { reasoning_content: "Hm. " });
      send(response, { content: "Yes." });
      finish(response);
    };
    const { agents } = await start([thinking]);
    expect(await eventsOf(agents, "hi")).toEqual([["thinks", "Hm. "], "Yes.", ["tokens", 3, 2], "COMPLETED"]);
    expect((await agents.process("hi")).content).toBe("Yes.");
  });

  test("is told again in the conversation's next turn", async () => {
    const { agents, asked } = await start([saying("One."), saying("Two.")]);
    await agents.process({ content: "first", conversationId: "c" });
    await agents.process({ content: "second", conversationId: "c" });
    expect(asked[1]?.messages).toEqual([
      { role: "user", content: "first" },
      { role: "assistant", content: "One." },
      { role: "user", content: "second" },
    ]);
  });
});

describe("tools", () => {
  test("run when the model calls them, and it goes on with their results", async () => {
    const { agents, asked } = await start([calling(["c1", "add", '{"a":1,"b":2}']), saying("It is 3.")], { tools: [add] });
    expect(await eventsOf(agents, "1 + 2?")).toEqual([
      ["c1", "add", '{"a":1,"b":2}'],
      ["c1", "result", '{"sum":3}'],
      ["tokens", 3, 2],
      "It is 3.",
      ["tokens", 3, 2],
      "COMPLETED",
    ]);
    expect(asked[0]?.tools?.[0]?.function).toMatchObject({ name: "add", parameters: { type: "object", required: ["a", "b"] } });
    expect(asked[1]?.messages.at(-1)).toMatchObject({ role: "tool", tool_call_id: "c1", content: '{"sum":3}' });
  });

  test("an agent that has none: a model that calls one all the same is told, and may do better", async () => {
    const { agents, asked } = await start([calling(["c1", "look", "{}"]), saying("Without, then.")]);
    expect((await agents.process("look")).content).toBe("Without, then.");
    expect(JSON.stringify(asked[1]?.messages.at(-1))).toContain("unavailable tool 'look'");
  });

  const throwing = defineTool({
    name: "throwing",
    input: z.object({}),
    run: () => {
      throw new Error("secret-of-the-tool");
    },
  });
  const hanging = defineTool({ name: "hanging", input: z.object({}), timeoutMs: 20, run: () => new Promise(() => {}) });
  const huge = defineTool({ name: "huge", input: z.object({}), run: () => "x".repeat(100 * 1024 * 1024) });

  test.each<[what: string, name: string, argumentsText: string, told: RegExp]>([
    ["a tool that is not there", "subtract", "{}", /there is no tool "subtract"/],
    ["arguments that are no JSON", "add", '{"a":1,', /the arguments of tool "add" are no JSON/],
    ["arguments of another kind", "add", '{"a":"1","b":2}', /a: .*expected number/],
    ["a tool that throws", "throwing", "{}", /tool "throwing" failed in an unforeseen way/],
    ["a tool that hangs", "hanging", "{}", /took longer than its 20 ms/],
    ["a tool that gives 100 MiB", "huge", "{}", /is larger than 262144 bytes/],
  ])("%s: the model is told, and may do better", async (_what, name, argumentsText, told) => {
    const tools = [add, throwing, hanging, huge];
    const { agents, asked } = await start([calling(["c1", name, argumentsText]), saying("Sorry.")], { tools });
    const events = await eventsOf(agents, "go");
    expect(events[1]).toEqual(["c1", "error", expect.stringMatching(told)]);
    expect(events).toContain("Sorry.");
    const last = JSON.stringify(asked[1]?.messages.at(-1));
    expect(last).toContain('"tool_call_id":"c1"');
    expect(last).not.toContain("secret");
  });

  test("of the caller end the turn, and the same task goes on with their results", async () => {
    const answers = [calling(["c1", "add", '{"a":1,"b":2}'], ["c2", "clock", "{}"]), saying("Now.")];
    const { model, asked } = await startModel(...answers);
    const store = createMemoryStore();
    const agent = modelAgent({ name: "model", model, tools: [add], maxRetries: 0 });
    const [first, second] = [await startServer({ agents: [agent], store }), await startServer({ agents: [agent], store })];
    const [one, other] = [await clientOf(first.url), await clientOf(second.url)];
    const availableTools = [{ name: "clock", description: "Tells the time." }];
    const waits = await one.process({ taskId: "t", content: "What time is it?", availableTools });
    expect(waits).toMatchObject({ status: Status.REQUIRES_TOOL_CALL, toolCalls: [{ callId: "c2", toolName: "clock" }] });
    await first.close({ graceMs: 0 });
    const done = await other.process({ taskId: "t", toolResults: [{ callId: "c2", resultJson: '"noon"' }] });
    expect(done).toMatchObject({ status: Status.COMPLETED, content: "Now." });
    expect(asked[1]?.messages).toMatchObject([
      { role: "user", content: "What time is it?" },
      { role: "assistant", tool_calls: [{ id: "c1" }, { id: "c2" }] },
      { role: "tool", tool_call_id: "c1", content: '{"sum":3}' },
      { role: "tool", tool_call_id: "c2", content: '"noon"' },
    ]);
  });

  test("that say no JSON Schema, or have one name, are refused when the agent is defined", async () => {
    const { model } = await startModel(saying());
    const bare = { "~standard": { version: 1 as const, vendor: "test", validate: (value: unknown) => ({ value }) } };
    const mute = defineTool({ name: "mute", input: bare, run: () => 0 });
    expect(() => modelAgent({ name: "model", model, tools: [mute] })).toThrow('the input of tool "mute" says no JSON Schema');
    expect(() => modelAgent({ name: "model", model, tools: [add, add] })).toThrow('agent "model" has two tools "add"');
  });
});

async function clientOf(url: string): Promise<Agents> {
  const { connect } = await import("../src/index.ts");
  const agents = connect({ url });
  clients.add(agents);
  return agents;
}
const clients = new Set<Agents>();
afterAll(() => {
  for (const agents of clients) agents.close();
});

const stalling: Answer = (response) => {
  begin(response);
  send(response, { content: "I " });
};
const breaking: Answer = (response) => {
  begin(response);
  send(response, { content: "I " });
  setImmediate(() => response.destroy());
};
const ending: Answer = (response) => {
  begin(response);
  send(response, { content: "I " });
  response.end();
};

describe("a model that fails", () => {
  test.each<[what: string, answer: Answer, code: Code, message: string, retryMs: number | undefined]>([
    [
      "takes no more for now",
      refusing(429, { "retry-after": "7" }),
      Code.ResourceExhausted,
      "the model's provider takes no more requests for now (429)",
      7_000,
    ],
    [
      "takes no more and says no time",
      refusing(429),
      Code.ResourceExhausted,
      "the model's provider takes no more requests for now (429)",
      1_000,
    ],
    [
      "is overloaded",
      refusing(529, { "retry-after-ms": "1500" }),
      Code.Unavailable,
      "the model's provider failed (529)",
      1_500,
    ],
    ["fails", refusing(500), Code.Unavailable, "the model's provider failed (500)", 1_000],
    ["refuses the key", refusing(401), Code.Internal, "the model's provider refuses the agent's key (401)", undefined],
    ["refuses the request", refusing(400), Code.Internal, "the model's provider refuses the agent's request (400)", undefined],
    ["never answers", () => {}, Code.Unavailable, "the model was silent for too long", 1_000],
    ["stops in mid-stream", stalling, Code.Unavailable, "the model was silent for too long", 1_000],
    ["breaks off in mid-stream", breaking, Code.Unavailable, "the connection to the model broke", 1_000],
    ["ends in mid-stream", ending, Code.Unavailable, "the model's answer broke off, or is none", 1_000],
  ])("that %s is a typed error, and the log says so", async (_what, answer, code, message, retryMs) => {
    const { agents } = await start([answer], { limits: { firstChunkMs: 1_000, chunkMs: 1_000 } });
    const error = await failure(agents.process({ taskId: "t", content: "hi" }));
    expect([error.code, error.rawMessage]).toEqual([code, message]);
    const [retry] = error.findDetails(RetryInfoSchema);
    const delay = retry?.retryDelay;
    expect(delay && Number(delay.seconds) * 1_000 + delay.nanos / 1e6).toBe(retryMs);
    expect(await agents.get("t")).toMatchObject({ error: { code, message } });
    expect(JSON.stringify(error)).not.toContain("secret");
  });

  test("that calls a tool of its caller and then says nothing is silent for too long, too", async () => {
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue({ type: "stream-start", warnings: [] });
        controller.enqueue({ type: "tool-call", toolCallId: "c1", toolName: "clock", input: "{}" });
      },
    });
    const doStream = async () => ({ stream });
    const doGenerate = () => Promise.reject(new Error("it streams"));
    const model = { specificationVersion: "v4", provider: "p", modelId: "m", supportedUrls: {}, doStream, doGenerate } as const;
    const agents = await startClient({ agents: [modelAgent({ name: "model", model, limits: { chunkMs: 500 } })] });
    const asking = agents.process({ content: "hi", availableTools: [{ name: "clock" }] }, { timeoutMs: 20_000 });
    const error = await failure(asking);
    expect([error.code, error.rawMessage]).toEqual([Code.Unavailable, "the model was silent for too long"]);
  });

  const piece: Answer = (response) => {
    begin(response);
    send(response, { content: "x".repeat(2 * 1024 * 1024) });
    finish(response);
  };
  const line: Answer = (response) => {
    begin(response);
    response.write(`data: ${"x".repeat(10 * 1024 * 1024)}`);
  };
  const lines: Answer = (response) => {
    begin(response);
    response.write(`data: ${"x".repeat(1000)}\n`.repeat(10 * 1024));
  };
  const filtered: Answer = (response) => {
    begin(response);
    finish(response, "content_filter");
  };
  const cut: Answer = (response) => {
    begin(response);
    send(response, { content: "I " });
    finish(response, "length");
  };
  const looping = calling(["c", "add", '{"a":1,"b":1}']);

  test.each<[what: string, answer: Answer, limits: object, code: Code, message: string]>([
    [
      "sends 2 MiB at once",
      piece,
      {},
      Code.ResourceExhausted,
      "the model has sent 2097152 characters at once; 1048576 are the most allowed",
    ],
    [
      "sends a line of 10 MiB",
      line,
      {},
      Code.ResourceExhausted,
      "the model's provider has sent an event of over 4194304 bytes, the most allowed",
    ],
    [
      "sends lines of one event without an end",
      lines,
      {},
      Code.ResourceExhausted,
      "the model's provider has sent an event of over 4194304 bytes, the most allowed",
    ],
    [
      "withholds the answer",
      filtered,
      {},
      Code.FailedPrecondition,
      "the model's provider withholds the answer: its content filter objects",
    ],
    [
      "has no room for its answer",
      cut,
      {},
      Code.ResourceExhausted,
      "the model's answer is longer than the tokens that it may write",
    ],
    [
      "calls tools for ever",
      looping,
      {},
      Code.ResourceExhausted,
      "the model still calls tools in its answer 20, the last one allowed",
    ],
    [
      "takes too many steps",
      looping,
      { maxSteps: 3 },
      Code.ResourceExhausted,
      "the model still calls tools in its answer 3, the last one allowed",
    ],
    [
      "takes too many tokens",
      looping,
      { maxTokens: 12 },
      Code.ResourceExhausted,
      "the model has used its 12 tokens, the most allowed",
    ],
    [
      "costs too much",
      looping,
      { maxCost: 0.00001 },
      Code.ResourceExhausted,
      "the model has cost 0.000014, and 0.00001 is the most allowed",
    ],
    [
      "takes too long",
      stalling,
      { maxTimeMs: 200 },
      Code.ResourceExhausted,
      "the model has worked for 200 ms, the longest allowed",
    ],
  ])("that %s is a typed error", async (_what, answer, limits, code, message) => {
    const price = { prompt: 1, completion: 2 };
    const { agents } = await start([answer], { limits, price, tools: [add] });
    const error = await failure(agents.process("hi"));
    expect([error.code, error.rawMessage]).toEqual([code, message]);
  });

  test("over the task's budget of tokens is asked no more", async () => {
    const { agents, asked } = await start([looping], { tools: [add] });
    const error = await failure(agents.process("hi", { budget: { tokens: 8 } }));
    expect([error.code, error.rawMessage]).toEqual([Code.ResourceExhausted, "the task's budget of tokens is used up"]);
    expect(asked.length).toBe(2);
  });

  test("for now is asked again, before anything has come", async () => {
    const { agents, asked } = await start([refusing(503, { "retry-after-ms": "1" }), saying("Hi.")], { maxRetries: 1 });
    expect((await agents.process("hi")).content).toBe("Hi.");
    expect(asked.length).toBe(2);
  });

  test("that is not there is UNAVAILABLE", async () => {
    const model = await modelFromEnvironment({ CONVOKE_MODEL: "local/any", CONVOKE_MODEL_URL: "http://127.0.0.1:1/v1" });
    if (model === undefined) throw new Error("the environment names a model");
    const agents = await startClient({ agents: [modelAgent({ name: "model", model, maxRetries: 0 })] });
    const error = await failure(agents.process("hi"));
    expect([error.code, error.rawMessage]).toEqual([Code.Unavailable, "the model cannot be reached"]);
  });

  test("is no harm to the others", async () => {
    const { agents } = await start([breaking, saying("Hi.")]);
    await failure(agents.process("hi"));
    expect((await agents.process("hi")).content).toBe("Hi.");
  });
});

test("a task that is cancelled stops its model", async () => {
  let stopped = () => {};
  const closed = new Promise<void>((resolve) => {
    stopped = resolve;
  });
  const { agents } = await start([
    (response) => {
      response.on("close", stopped);
      stalling(response, { messages: [] });
    },
  ]);
  for await (const { text } of agents.stream("hi")) if (text !== "") break;
  await closed;
});

describe("the environment", () => {
  test("names a model at any base URL", async () => {
    const { baseURL } = await startModel(saying("Hi."));
    const model = await modelFromEnvironment({ CONVOKE_MODEL: "ollama/llama/3", CONVOKE_MODEL_URL: baseURL });
    if (model === undefined) throw new Error("the environment names a model");
    const agents = await startClient({ agents: [modelAgent({ name: "model", model })] });
    expect((await agents.process("hi")).content).toBe("Hi.");
  });

  test.each(["openai", "anthropic", "google"])("names one of %s", async (provider) => {
    const model = await modelFromEnvironment({ CONVOKE_MODEL: `${provider}/some-model`, CONVOKE_MODEL_KEY: "key" });
    expect(model).toMatchObject({ modelId: "some-model", provider: expect.stringContaining(provider) });
  });

  test.each([
    ["gpt-5", 'CONVOKE_MODEL is "gpt-5", and must be PROVIDER/NAME, such as openai/gpt-5'],
    ["openai/", 'CONVOKE_MODEL is "openai/", and must be PROVIDER/NAME, such as openai/gpt-5'],
    [
      "ollama/llama",
      'CONVOKE_MODEL names the provider "ollama"; set CONVOKE_MODEL_URL to its base URL, or take one of openai, anthropic, google',
    ],
    [
      "toString/x",
      'CONVOKE_MODEL names the provider "toString"; set CONVOKE_MODEL_URL to its base URL, or take one of openai, anthropic, google',
    ],
  ])("that says %s is refused", async (name, message) => {
    await expect(modelFromEnvironment({ CONVOKE_MODEL: name })).rejects.toThrow(message);
  });

  test("may name none: an agent that needs one says so", async () => {
    expect(await modelFromEnvironment({})).toBeUndefined();
    const agents = await startClient({ agents: [modelAgent({ name: "model" })] });
    const error = await failure(agents.process("hi"));
    expect([error.code, error.rawMessage]).toEqual([
      Code.FailedPrecondition,
      'agent "model" has no model; CONVOKE_MODEL=PROVIDER/NAME names one',
    ]);
  });
});

test.each([
  [{ maxSteps: 0 }, 'agent "model": maxSteps is 0, and must be above 0'],
  [{ maxTokens: Number.NaN }, 'agent "model": maxTokens is NaN, and must be above 0'],
  [{ maxCost: 1 }, 'agent "model" has a maxCost, and needs a price: { prompt, completion } for a million tokens each'],
])("limits %o are refused", async (limits, message) => {
  const { model } = await startModel(saying());
  expect(() => modelAgent({ name: "model", model, limits })).toThrow(message);
});

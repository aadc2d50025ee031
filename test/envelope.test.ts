import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, encodeBinaryHeader } from "@connectrpc/connect";
import { EnvelopeSchema, QuotaFailureSchema, Status } from "../src/contract/index.ts";
import {
  type Agent,
  type AgentContext,
  type Agents,
  connect,
  defineAgent,
  type Server,
  type Task,
  usage,
} from "../src/index.ts";
import { startServer } from "./support/server.ts";

/** Agents of servers of their own, which find each other in one registry. @returns the URL of the first one's. */
async function startServers(...agents: readonly Agent[]): Promise<string> {
  const registry = await startServer({ agents: [], registry: true });
  const servers: Server[] = [];
  for (const agent of agents) servers.push(await startServer({ agents: [agent], register: { registry: registry.url } }));
  const found = connect({ registry: registry.url, waitForReady: true });
  for (const { name } of agents) await found.agent(name).process({ content: "are you there?", metadata: { ping: "1" } });
  found.close();
  return servers[0]?.url ?? "";
}

/** The first one of agents of servers of their own. */
async function startChain(...agents: readonly Agent[]): Promise<Agents> {
  const first = connect(await startServers(...agents));
  clients.add(first);
  return first;
}

const clients = new Set<Agents>();
afterAll(() => {
  for (const agents of clients) agents.close();
});

type Run = (task: Task, ctx: AgentContext) => ReturnType<Agent["run"]>;

/** An agent that can do what it is called. */
function agent(name: string, run: Run): Agent {
  return defineAgent({
    name,
    capabilities: [name],
    async *run(task, ctx) {
      if (task.metadata["ping"] === undefined) yield* run(task, ctx);
    },
  });
}

/** An agent that asks the next one the same. */
function passing(name: string, next: string, before: (ctx: AgentContext) => void = () => {}): Agent {
  return agent(name, async function* (task, ctx) {
    before(ctx);
    yield* ctx.agents.capability(next).stream(task.content);
  });
}

async function failure(call: Promise<unknown>): Promise<ConnectError> {
  return ConnectError.from(
    await call.then(
      () => new Error("it did not fail"),
      (thrown: unknown) => thrown,
    ),
  );
}

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

test("callers, deadline, conversation and trace reach an agent three servers away", async () => {
  let leaf: { ctx: AgentContext; task: Task; leftMs: number } | undefined;
  const agents = await startChain(
    passing("a", "b"),
    passing("b", "c"),
    agent("c", async function* (task, ctx) {
      leaf = { ctx, task, leftMs: ctx.timeoutMs() };
      yield `heard ${task.content}`;
    }),
  );
  const headers = { traceparent, tracestate: "vendor=1" };
  const asked = { content: "hello", conversationId: "talk" };
  const answer = await agents.process(asked, { timeoutMs: 20_000, metadata: headers });
  expect(answer).toMatchObject({ content: "heard hello", spending: { tokens: 0, calls: 2 } });
  expect(leaf?.ctx.caller).toEqual({
    name: "anonymous",
    proof: "none",
    chain: [
      { agent: "a", caller: "anonymous" },
      { agent: "b", caller: "anonymous" },
    ],
  });
  expect(leaf?.ctx.trace).toEqual(headers);
  expect(leaf?.task.conversation?.id).toBe("talk");
  expect(leaf?.leftMs).toBeGreaterThan(10_000);
  expect(leaf?.leftMs).toBeLessThanOrEqual(20_000);
});

test("agents of several servers that call each other in a circle end at the depth that the outermost caller gave, named", async () => {
  const agents = await startChain(passing("a", "b"), passing("b", "a"));
  const error = await failure(agents.process("round", { budget: { depth: 4 } }));
  expect(error.code).toBe(Code.ResourceExhausted);
  expect(error.rawMessage).toBe("agents call each other more than 4 deep: a → b → a → b → a");
  expect(error.findDetails(QuotaFailureSchema)).toMatchObject([{ violations: [{ subject: "call depth" }] }]);
  expect((await failure(agents.process("round"))).rawMessage).toMatch(/^agents call each other more than 8 deep: a → b/);
});

test("each agent gets what those before have left of the budget, and gives on what it has left", async () => {
  const seen: AgentContext["budget"][] = [];
  const costly = (name: string, tokens: number) =>
    agent(name, async function* (_task, ctx) {
      seen.push(ctx.budget);
      yield usage({ prompt: tokens, completion: 0 });
    });
  const agents = await startChain(
    agent("a", async function* (task, ctx) {
      yield usage({ prompt: 10, completion: 10 });
      yield* ctx.agents.capability("b").stream(task.content);
      await ctx.agents.capability("c").process(task.content);
      seen.push(ctx.budget);
    }),
    costly("b", 30),
    costly("c", 5),
  );
  const answer = await agents.process("spend", { budget: { tokens: 100, calls: 7 } });
  expect(seen).toEqual([
    { tokens: 80, calls: 6 },
    { tokens: 50, calls: 5 },
    { tokens: 45, calls: 5 },
  ]);
  expect(answer.usage).toMatchObject({ promptTokens: 40, completionTokens: 10 }); // what it told of itself: c's is not among it
  expect(answer.spending).toMatchObject({ tokens: 55, calls: 2 });
});

test.each([
  ["tokens", { tokens: 20 }, "the budget of 20 tokens is used up: a → b"],
  ["calls", { calls: 1 }, "the budget of 1 calls is used up: a → b"],
])(
  "a budget of %s that is used up is refused by the agent that would call, and nobody is asked",
  async (subject, budget, message) => {
    let asked = 0;
    const agents = await startChain(
      agent("a", async function* (task, ctx) {
        yield usage({ prompt: 12, completion: 0 });
        await ctx.agents.capability("b").process(task.content);
        await ctx.agents.capability("b").process(task.content);
      }),
      agent("b", async function* () {
        asked++;
        yield usage({ prompt: 8, completion: 0 });
      }),
    );
    const error = await failure(agents.process("spend", { budget }));
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(error.rawMessage).toBe(message);
    expect(error.findDetails(QuotaFailureSchema)).toMatchObject([{ violations: [{ subject }] }]);
    expect(asked).toBe(1);
  },
);

test("what agents further down spend counts, though their answers do not tell of it", async () => {
  let left: AgentContext["budget"] | undefined;
  const agents = await startChain(
    agent("a", async function* (task, ctx) {
      await ctx.agents.capability("b").process(task.content);
      left = ctx.budget;
      yield "done";
    }),
    agent("b", async function* (task, ctx) {
      await ctx.agents.capability("c").process(task.content);
      yield "mine";
    }),
    agent("c", async function* () {
      yield usage({ prompt: 1, completion: 2 });
    }),
  );
  expect(await agents.process("spend", { budget: { tokens: 10, calls: 10 } })).toMatchObject({
    status: Status.COMPLETED,
    usage: { promptTokens: 0 },
    spending: { tokens: 3, calls: 2 },
  });
  expect(left).toEqual({ tokens: 7, calls: 8 });
});

test("a call whose time is over tells its caller which hop it was", async () => {
  let told = (_error: ConnectError) => {};
  const heard = new Promise<ConnectError>((resolve) => {
    told = resolve;
  });
  const url = await startServers(
    agent("a", async function* (task, ctx) {
      await ctx.agents
        .capability("slow")
        .process(task.content)
        .catch((thrown) => told(ConnectError.from(thrown)));
      yield "late";
    }),
    agent("slow", async function* (_task, { signal }) {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      yield "never";
    }),
  );
  const answer = await fetch(`${url}/agent.v1.AgentService/ProcessTask`, {
    method: "POST",
    headers: { "content-type": "application/json", "connect-timeout-ms": "300" }, // and no clock here that could cancel the call first
    body: JSON.stringify({ content: "wait" }),
  });
  expect(await answer.json()).toMatchObject({ code: "deadline_exceeded" });
  const error = await heard;
  expect(error.code).toBe(Code.DeadlineExceeded);
  expect(error.rawMessage).toMatch(/^a → slow: /);
});

test("a cancel reaches the agent at the end of a chain of four", async () => {
  let working = () => {};
  const atWork = new Promise<void>((resolve) => {
    working = resolve;
  });
  let stopped = (_reason: unknown) => {};
  const reason = new Promise<unknown>((resolve) => {
    stopped = resolve;
  });
  const leaf = agent("d", async function* (_task, { signal }) {
    signal.addEventListener("abort", () => stopped(signal.reason));
    yield "at work";
    working();
    await reason;
  });
  const agents = await startChain(passing("a", "b"), passing("b", "c"), passing("c", "d"), leaf);
  const controller = new AbortController();
  const call = failure(agents.process("work", { signal: controller.signal }));
  await atWork;
  controller.abort();
  expect((await call).code).toBe(Code.Canceled);
  expect(ConnectError.from(await reason).code).toBe(Code.Canceled);
});

describe("an envelope that comes from elsewhere", () => {
  const header = (init: Parameters<typeof create<typeof EnvelopeSchema>>[1]) =>
    encodeBinaryHeader(create(EnvelopeSchema, init), EnvelopeSchema);
  const hops = (count: number) => Array.from({ length: count }, (_, index) => ({ agent: `h${index}`, caller: "x" }));

  test.each([
    ["is no base64", "%%%", "is no agent.v1.Envelope in base64"],
    ["is no envelope", "/w==", "is no agent.v1.Envelope in base64"],
    ["is too long", "A".repeat(8_196), "has 8196 characters; 8192 is the most"],
    ["has too many hops", header({ hops: hops(65) }), "has 65 hops; 64 is the most"],
  ])("and %s is refused", async (_what, value, message) => {
    const agents = connect((await startServer()).url);
    clients.add(agents);
    const error = await failure(agents.process("x", { metadata: { "convoke-envelope-bin": value } }));
    expect(error.code).toBe(Code.InvalidArgument);
    expect(error.rawMessage).toBe(`convoke-envelope-bin ${message}`);
  });

  test("and is too deep for the server is refused", async () => {
    const agents = connect((await startServer()).url);
    clients.add(agents);
    const error = await failure(agents.process("x", { metadata: { "convoke-envelope-bin": header({ hops: hops(8) }) } }));
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(error.rawMessage).toBe("agents call each other more than 8 deep: h0 → h1 → h2 → h3 → h4 → h5 → h6 → h7 → echo");
  });

  test.each([
    ["of today", traceparent, true],
    ["of a later version", `01${traceparent.slice(2)}-more`, true],
    ["with something behind it", `${traceparent}-more`, false],
    ["of version ff", `ff${traceparent.slice(2)}`, false],
    ["of zeros", `00-${"0".repeat(32)}-00f067aa0ba902b7-01`, false],
    ["in upper case", traceparent.toUpperCase(), false],
  ])("a traceparent %s", async (_what, value, taken) => {
    let trace: AgentContext["trace"];
    const tracing = agent("tracing", async function* (_task, ctx) {
      trace = ctx.trace;
      yield "traced";
    });
    const agents = connect((await startServer({ agents: [tracing] })).url);
    clients.add(agents);
    await agents.process("x", { metadata: { traceparent: value } });
    expect(trace).toEqual(taken ? { traceparent: value } : undefined);
  });

  test("a bound of a budget that is no whole number is refused before it is sent", async () => {
    const agents = connect((await startServer()).url);
    clients.add(agents);
    await expect(agents.process("x", { budget: { tokens: -1 } })).rejects.toThrow(RangeError);
  });
});

import { once } from "node:events";
import { z } from "zod";
import { QuotaFailureSchema } from "../src/contract/index.ts";
import { toolBounds } from "../src/core/index.ts";
import {
  type Agent,
  type Agents,
  Code,
  ConnectError,
  connect,
  defineAgent,
  defineTool,
  type ServeOptions,
  Status,
  type Task,
  type TaskCallOptions,
  type Tool,
  type ToolContext,
  toolCall,
  usage,
} from "../src/index.ts";
import { asking } from "./support/agents.ts";
import { createCutOff } from "./support/cut-off.ts";
import { failure } from "./support/failure.ts";
import { startClient, startServer } from "./support/server.ts";
import { taskPlaces } from "./support/task-places.ts";

const clock = defineTool({
  name: "clock",
  input: z.object({ zone: z.string() }),
  run: ({ zone }) => `noon in ${zone}`,
});

const add = defineTool({
  name: "add",
  input: z.object({ a: z.number(), b: z.number() }),
  run: ({ a, b }, { signal, callId }) => ({ sum: a + b, callId, isStopped: signal.aborted }),
});

/** A tool that does what it is told in `run`, whatever its arguments. */
function doing(
  run: (input: unknown, ctx: ToolContext) => unknown,
  bounds: { timeoutMs?: number; maxResultBytes?: number } = {},
) {
  return defineTool({ name: "doing", input: z.unknown().meta({ type: "object" }), run, ...bounds });
}

const hanging = (bounds = {}) => doing(() => new Promise(() => {}), bounds);

/** Calls the caller's tools, round by round, and then says what they gave: its question is a list of lists of calls. */
const rounds = defineAgent({
  name: "rounds",
  async *run({ content, toolResults }) {
    const plan: readonly (readonly [tool: string, input: unknown][])[] = JSON.parse(content);
    let given = 0;
    for (const [round, calls] of plan.entries()) {
      if (given === toolResults.length) {
        yield `${round}: `;
        for (const [at, [name, input]] of calls.entries()) yield toolCall({ id: `${round}.${at}`, name, arguments: input });
        return;
      }
      given += calls.length;
    }
    yield toolResults
      .map(({ callId, isError, resultJson }) => `${callId} ${isError ? "failed: " : ""}${resultJson}`)
      .join("; ");
  },
});

const one = (name: string, input: unknown = {}) => JSON.stringify([[[name, input]]]);

/** Never has enough of the caller's tool. */
const endless = defineAgent({
  name: "endless",
  async *run({ toolResults }) {
    yield usage({ prompt: 10, completion: 5 });
    yield toolCall({ id: `call-${toolResults.length}`, name: "doing", arguments: {} });
  },
});

/** A stream's chunks, each in a few words, and what a caller counts on of all of them. */
async function chunksOf(agents: Agents, task: string | { taskId: string; content: string }, options: TaskCallOptions) {
  const kinds: string[] = [];
  const finals: boolean[] = [];
  for await (const { index, isFinal, text, status, toolCall: call, toolResult: result } of agents.stream(task, options)) {
    expect(index).toBe(kinds.length);
    kinds.push(call?.callId ?? result?.resultJson ?? (text || Status[status]));
    finals.push(isFinal);
  }
  expect(finals).toEqual([...Array(finals.length - 1).fill(false), true]);
  return kinds;
}

/** Waits until the task has ended at the server: a caller that leaves says so and does not wait. */
async function ended(agents: Agents, taskId: string): Promise<Status> {
  for (;;) {
    const { status } = await agents.get(taskId);
    if (status !== Status.REQUIRES_TOOL_CALL && status !== Status.RUNNING) return status;
  }
}

describe.each(taskPlaces)("tasks in %s", (_place, open) => {
  const start = async (agent: Agent, options: Partial<ServeOptions> = {}) =>
    startClient({ ...(await open()), agents: [agent], ...options });

  test("an agent has what its caller's tool gave", async () => {
    const agents = await start(asking);
    const answer = await agents.process("Berlin", { tools: [clock] });
    expect(answer).toMatchObject({ status: Status.COMPLETED, content: 'it is "noon in Berlin"' });
    expect(await agents.get(answer.taskId)).toMatchObject({ nextIndex: 5, status: Status.COMPLETED });
  });

  test("a stream is one over all rounds", async () => {
    const agents = await start(rounds);
    const content = JSON.stringify([[["clock", { zone: "A" }]], [["clock", { zone: "B" }]]]);
    const expected = [
      ...["0: ", "0.0", "REQUIRES_TOOL_CALL", '"noon in A"'],
      ...["1: ", "1.0", "REQUIRES_TOOL_CALL", '"noon in B"'],
      ...['0.0 "noon in A"; 1.0 "noon in B"', "COMPLETED"],
    ];
    expect(await chunksOf(agents, { taskId: "t", content }, { tools: [clock] })).toEqual(expected);
    expect(await chunksOf(agents, { taskId: "t", content }, { tools: [clock] })).toEqual(expected); // asked again, nothing runs
  });

  test("several calls of one round run at once, each with its own id, and a failure of one is none of the others", async () => {
    const gate = new EventTarget();
    const opened = once(gate, "open");
    let waiting = 0;
    const meeting = doing(async (_input, { callId }) => {
      if (++waiting === 2) gate.dispatchEvent(new Event("open"));
      await opened;
      return callId;
    });
    const agents = await start(rounds);
    const content = JSON.stringify([
      [
        ["doing", {}],
        ["doing", {}],
        ["add", { a: 1, b: 2 }],
        ["add", { a: 1 }],
      ],
    ]);
    const answer = await agents.process(content, { tools: [meeting, add], timeoutMs: 20_000 });
    expect(answer.content).toMatch(
      /^0: 0\.0 "0\.0"; 0\.1 "0\.1"; 0\.2 \{"sum":3,"callId":"0\.2","isStopped":false\}; 0\.3 failed: add the arguments are not .*: b: .*number/,
    );
  });

  test("a task that waits is taken up by whoever asks for it with the tools", async () => {
    const agents = await start(asking);
    for await (const { isFinal } of agents.stream({ taskId: "t", content: "Rome" }, { tools: [clock], detached: true }))
      if (!isFinal) break;
    const answer = await agents.process({ taskId: "t" }, { tools: [clock] });
    expect(answer).toMatchObject({ status: Status.COMPLETED, content: 'it is "noon in Rome"' });
  });

  test.each<[how: string, ask: (agents: Agents, options: TaskCallOptions) => Promise<unknown>]>([
    ["an answer", (agents, options) => agents.process({ taskId: "t", content: one("doing") }, options)],
    ["a stream", (agents, options) => chunksOf(agents, { taskId: "t", content: one("doing") }, options)],
  ])("the caller of %s that stops it while its tool is at work stops both", async (_how, ask) => {
    const stop = new AbortController();
    const told: unknown[] = [];
    const stopped = doing(async (_input, { signal }) => {
      signal.addEventListener("abort", () => told.push("the tool"));
      stop.abort();
      await new Promise(() => {});
    });
    const agents = await start(rounds);
    const options = { tools: [stopped], signal: stop.signal, onToolError: (error: ConnectError) => told.push(error) };
    expect((await failure(ask(agents, options))).code).toBe(Code.Canceled);
    expect(told).toEqual(["the tool"]);
    expect(await ended(agents, "t")).toBe(Status.CANCELLED);
  });

  test("a stream that is left between two rounds ends its task", async () => {
    const agents = await start(rounds);
    for await (const { status } of agents.stream({ taskId: "t", content: one("doing") }, { tools: [hanging()] }))
      if (status === Status.REQUIRES_TOOL_CALL) break;
    expect(await ended(agents, "t")).toBe(Status.CANCELLED);
  });

  test.each<[what: string, ask: (agents: Agents, options: TaskCallOptions) => Promise<unknown>]>([
    ["an answer", (agents, options) => agents.process({ taskId: "t", content: one("doing") }, options)],
    ["a stream", (agents, options) => chunksOf(agents, { taskId: "t", content: one("doing") }, options)],
  ])("%s goes on over connections that break, and no tool runs twice", async (_what, ask) => {
    const ran: string[] = [];
    const cutting = defineAgent({
      name: "cutting",
      async *run(task, ctx) {
        ran.push("agent");
        if (task.toolResults.length > 0) way.cut();
        yield* rounds.run(task, ctx);
      },
    });
    const server = await startServer({ ...(await open()), agents: [cutting] });
    const way = await createCutOff(new URL(server.url).host);
    const agents = connect(way.address);
    const losing = doing(() => {
      ran.push("tool");
      way.cut();
      way.loseAnswers();
      return 1;
    });
    await ask(agents, { tools: [losing], timeoutMs: 20_000 });
    expect(ran).toEqual(["agent", "tool", "agent"]);
    expect(await agents.get("t")).toMatchObject({ status: Status.COMPLETED, response: { content: "0: 0.0 1" } });
    agents.close();
  });

  test("an agent that never has enough of tools is stopped", async () => {
    const agents = await start(endless);
    let ran = 0;
    const error = await failure(agents.process({ taskId: "t", content: "go" }, { tools: [doing(() => ++ran)] }));
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(error.rawMessage).toBe("the agent still asks for tools after 32 rounds of them, the most allowed");
    expect(error.findDetails(QuotaFailureSchema)).toMatchObject([{ violations: [{ subject: "tool rounds" }] }]);
    expect([ran, await ended(agents, "t")]).toEqual([toolBounds.maxRounds, Status.CANCELLED]);
  });
});

test.each<[what: string, tool: Tool, message: RegExp]>([
  ["throws", doing(() => Promise.reject(new Error("/etc/secret"))), /^tool "doing" failed in an unforeseen way$/],
  [
    "throws what the agent may see",
    doing(() => {
      throw new ConnectError("no such calendar", Code.NotFound);
    }),
    /^no such calendar$/,
  ],
  ["hangs", hanging({ timeoutMs: 20 }), /^tool "doing" took longer than its 20 ms$/],
  ["gives too much", doing(() => "x".repeat(100), { maxResultBytes: 50 }), /is larger than 50 bytes/],
  ["gives what is no JSON", doing(() => 1n), /nothing that JSON can hold$/],
  ["wants the agent's memory", doing((_input, ctx) => ctx.memory), /^ctx\.memory belongs to an agent; /],
  ["wants other agents", doing((_input, ctx) => ctx.agents), /^ctx\.agents belongs to an agent; /],
  ["wants the agent's caller", doing((_input, ctx) => ctx.caller), /^ctx\.caller belongs to an agent; /],
  ["wants a log", doing((_input, ctx) => ctx.log), /^ctx\.log belongs to an agent; /],
  ["wants a budget", doing((_input, ctx) => ctx.budget), /^ctx\.budget belongs to an agent; /],
  ["wants a trace", doing((_input, ctx) => ctx.trace), /^ctx\.trace belongs to an agent; /],
])("a tool that %s answers with a sentence, and the caller is told", async (_what, tool, message) => {
  const agents = await startClient({ agents: [rounds] });
  const told: [ConnectError, string][] = [];
  const onToolError: TaskCallOptions["onToolError"] = (error, { callId }) => told.push([error, callId]);
  const { content, status } = await agents.process(one("doing"), { tools: [tool], onToolError });
  const [, sentence = ""] = /^0: 0\.0 failed: (.*)$/.exec(content) ?? [];
  expect([status, sentence]).toEqual([Status.COMPLETED, expect.stringMatching(message)]);
  expect(told).toMatchObject([[{ rawMessage: sentence }, "0.0"]]);
});

test("what nobody foresaw is the cause of what the caller is told", async () => {
  const agents = await startClient({ agents: [rounds] });
  const causes: unknown[] = [];
  const cause = new Error("/etc/secret");
  const tools = [doing(() => Promise.reject(cause))];
  await agents.process(one("doing"), { tools, onToolError: (error) => causes.push(error.cause) });
  expect(causes).toEqual([cause]);
});

test("what onToolError throws ends the call and the task", async () => {
  const agents = await startClient({ agents: [rounds] });
  const onToolError = () => {
    throw new ConnectError("enough", Code.Aborted);
  };
  const call = agents.process({ taskId: "t", content: one("add", { a: "1" }) }, { tools: [add], onToolError });
  expect((await failure(call)).rawMessage).toBe("enough");
  expect(await ended(agents, "t")).toBe(Status.CANCELLED);
});

test("the time of the call is that of all rounds and tools", async () => {
  const agents = await startClient({ agents: [rounds] });
  const left: number[] = [];
  const slow = doing((_input, ctx) => {
    left.push(ctx.timeoutMs());
    return new Promise(() => {});
  });
  const call = agents.process({ taskId: "t", content: one("doing") }, { tools: [slow], timeoutMs: 1_500 });
  const error = await failure(call);
  expect([error.code, error.rawMessage]).toEqual([
    Code.DeadlineExceeded,
    expect.stringMatching(/^the time of the call was over/),
  ]);
  expect(left[0]).toBeLessThanOrEqual(1_500);
  expect(await ended(agents, "t")).toBe(Status.CANCELLED);
});

test("a call without timeoutMs has all the time there is", async () => {
  const agents = await startClient({ agents: [rounds] });
  const { content } = await agents.process(one("doing"), { tools: [doing((_input, ctx) => ctx.timeoutMs() === Infinity)] });
  expect(content).toBe("0: 0.0 true");
});

test("the budget of the call is that of all rounds", async () => {
  const budgets: unknown[] = [];
  const spending = defineAgent({
    name: "spending",
    async *run(task, ctx) {
      budgets.push(ctx.budget);
      if (task.toolResults.length === 1) await ctx.agents.capability("cost").process("8 tokens");
      yield* endless.run(task, ctx);
    },
  });
  const costly = defineAgent({
    name: "costly",
    capabilities: ["cost"],
    async *run() {
      yield usage({ prompt: 8, completion: 0 });
    },
  });
  const agents = await startClient({ agents: [spending, costly] });
  const options = { tools: [doing(() => 1)], maxToolRounds: 3, budget: { tokens: 60, calls: 3 } };
  expect((await failure(agents.process("go", options))).code).toBe(Code.ResourceExhausted);
  expect(budgets).toEqual([
    { tokens: 60, calls: 3 },
    { tokens: 45, calls: 3 },
    { tokens: 22, calls: 2 },
    { tokens: 7, calls: 2 },
  ]);
});

test("tools that nobody runs here are the caller's to answer, in the last chunk too", async () => {
  const agents = await startClient({ agents: [rounds] });
  const content = JSON.stringify([
    [
      ["add", { a: 1, b: 2 }],
      ["byHand", {}],
    ],
  ]);
  const task = { taskId: "t", content, availableTools: [{ name: "byHand" }] };
  expect(await agents.process(task, { tools: [add] })).toMatchObject({
    status: Status.REQUIRES_TOOL_CALL,
    toolCalls: [{ callId: "0.0" }, { callId: "0.1" }],
  });
  expect(await chunksOf(agents, task, { tools: [add] })).toEqual(["0: ", "0.0", "0.1", "REQUIRES_TOOL_CALL"]);
  expect((await agents.get("t")).status).toBe(Status.REQUIRES_TOOL_CALL);
});

test("tools are offered as they describe themselves", async () => {
  let offered: Task["availableTools"] = [];
  const looking = defineAgent({
    name: "looking",
    async *run({ availableTools }) {
      offered = availableTools;
      yield "seen";
    },
  });
  const agents = await startClient({ agents: [looking] });
  await agents.process("?", { tools: [add, clock] });
  expect(offered.map(({ name }) => name)).toEqual(["add", "clock"]);
  expect(JSON.parse(offered[0]?.parametersJsonSchema ?? "")).toMatchObject({ type: "object", required: ["a", "b"] });
});

test("calls beyond those that work at once do not begin when the call is over", async () => {
  const stop = new AbortController();
  let begun = 0;
  const crowd = toolBounds.maxAtOnce + 1;
  const tool = doing(() => {
    if (++begun === toolBounds.maxAtOnce) stop.abort();
    return new Promise(() => {});
  });
  const agents = await startClient({ agents: [rounds] });
  const content = JSON.stringify([Array(crowd).fill(["doing", {}])]);
  expect((await failure(agents.process(content, { tools: [tool], signal: stop.signal }))).code).toBe(Code.Canceled);
  expect(begun).toBe(toolBounds.maxAtOnce);
});

test.each([0, -1, 1.5, Number.NaN, Infinity])("%s rounds are refused before anything is sent", async (maxToolRounds) => {
  const agents = await startClient({ agents: [rounds] });
  await expect(agents.process({ taskId: "t", content: one("add") }, { tools: [add], maxToolRounds })).rejects.toThrow(
    RangeError,
  );
  expect((await failure(agents.get("t"))).code).toBe(Code.NotFound);
});

test("a tool that says no JSON Schema is refused before anything is sent", async () => {
  const agents = await startClient({ agents: [rounds] });
  const mute = {
    ...add,
    input: { "~standard": { version: 1 as const, vendor: "test", validate: (value: unknown) => ({ value }) } },
  };
  await expect(agents.process("x", { tools: [defineTool<unknown, unknown>({ ...mute, run: () => 1 })] })).rejects.toThrow(
    TypeError,
  );
});

test("a tool that needs somebody's leave is refused at a caller, who gives it to itself", async () => {
  const tool = defineTool({ name: "pay", input: z.object({}), approve: true, run: () => "paid" });
  const agents = await startClient();
  await expect(agents.process("hi", { tools: [tool] })).rejects.toThrow(
    'tool "pay" has to be approved, which only an agent can ask for; ask before you offer it',
  );
});

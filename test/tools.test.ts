import { once } from "node:events";
import { z } from "zod";
import { toolBounds } from "../src/core/index.ts";
import {
  type Agents,
  Code,
  ConnectError,
  defineAgent,
  defineTool,
  type ServeOptions,
  type Tool,
  type ToolContext,
} from "../src/index.ts";
import { failure } from "./support/failure.ts";
import { startClient } from "./support/server.ts";
import { taskPlaces } from "./support/task-places.ts";

const add = defineTool({
  name: "add",
  description: "Adds two numbers.",
  input: z.object({ a: z.number(), b: z.number().default(1) }),
  run: ({ a, b }) => a + b,
});

/** A tool that does what it is told in `run`, whatever its arguments. */
function doing(
  run: (input: unknown, ctx: ToolContext) => unknown,
  bounds: { timeoutMs?: number; maxResultBytes?: number } = {},
) {
  return defineTool({ name: "doing", input: z.unknown(), run, ...bounds });
}

/** An agent that runs one tool with what it is asked, and says what came of it. */
function using(tool: Tool) {
  return defineAgent({
    name: "user",
    capabilities: ["use"],
    async *run(task, ctx) {
      yield "I ask. ";
      const output = await ctx.tool(tool, JSON.parse(task.content));
      yield `It is ${JSON.stringify(output)}.`;
    },
  });
}

/** The events of a task, each in a few words. */
async function eventsOf(agents: Agents, content: string): Promise<unknown[]> {
  const events: unknown[] = [];
  for await (const { text, toolCall, toolResult } of agents.stream(content)) {
    if (text !== "") events.push(text);
    if (toolCall !== undefined) events.push([toolCall.toolName, toolCall.argumentsJson]);
    if (toolResult !== undefined) events.push([toolResult.isError ? "error" : "result", toolResult.resultJson]);
  }
  return events;
}

describe.each(taskPlaces)("in %s", (_place, open) => {
  const start = async (options: Partial<ServeOptions>) => startClient({ ...(await open()), ...options });

  test("a tool's call and its result are events, in the order in which they happen", async () => {
    const agents = await start({ agents: [using(add)] });
    expect(await eventsOf(agents, '{"a":2}')).toEqual(["I ask. ", ["add", '{"a":2}'], ["result", "3"], "It is 3."]);
  });

  test("the call is seen while the tool is at work, also that of an agent that another one asks", async () => {
    const gate = new EventTarget();
    const slow = doing(() => once(gate, "open").then(() => "done"));
    const asking = defineAgent({
      name: "asking",
      run: (task, ctx) => ctx.agents.capability("use").stream(task.content),
    });
    const agents = await start({ agents: [asking, using(slow)] });
    const events: string[] = [];
    for await (const { text, toolCall, toolResult } of agents.stream("null")) {
      events.push(toolCall?.toolName ?? toolResult?.resultJson ?? text);
      if (toolCall !== undefined) gate.dispatchEvent(new Event("open"));
    }
    expect(events).toEqual(["I ask. ", "doing", '"done"', 'It is "done".', ""]);
  });

  test("an agent that is left while its tool is at work is left at once", async () => {
    let stopped: unknown;
    const hanging = doing(async (_input, { signal }) => {
      await once(signal, "abort");
      stopped = signal.reason;
    });
    const impatient = defineAgent({
      name: "impatient",
      async *run(task, ctx) {
        for await (const { case: kind } of ctx.agents.capability("use").stream(task.content)) if (kind === "toolCall") break;
        yield "enough";
      },
    });
    const agents = await start({ agents: [impatient, using(hanging)] });
    expect((await agents.process("null", { timeoutMs: 20_000 })).content).toBe("enough");
    expect(stopped).toBeUndefined();
  });
});

test.each<[what: string, tool: Tool, input: unknown, code: Code, message: RegExp]>([
  [
    "arguments of another kind",
    add,
    { a: "2" },
    Code.InvalidArgument,
    /^add the arguments are not as the tool wants them: a: .*number/,
  ],
  ["arguments that are missing", add, {}, Code.InvalidArgument, /: a: /],
  ["no arguments", add, null, Code.InvalidArgument, /expected object/],
  [
    "an error of its own",
    doing(() => Promise.reject(new Error("/etc/secret"))),
    {},
    Code.Internal,
    /^tool "doing" failed in an unforeseen way$/,
  ],
  [
    "an error that the agent may see",
    doing(() => {
      throw new ConnectError("no such calendar", Code.NotFound);
    }),
    {},
    Code.NotFound,
    /^no such calendar$/,
  ],
  [
    "a tool that hangs",
    doing(() => new Promise(() => {}), { timeoutMs: 20 }),
    {},
    Code.DeadlineExceeded,
    /took longer than its 20 ms$/,
  ],
  [
    "a cycle",
    doing(() => {
      const cycle: { self?: unknown } = {};
      cycle.self = cycle;
      return cycle;
    }),
    {},
    Code.Internal,
    /nothing that JSON can hold/,
  ],
  ["a function's BigInt", doing(() => ({ n: 1n })), {}, Code.Internal, /nothing that JSON can hold/],
  ["bytes", doing(() => Buffer.alloc(9)), {}, Code.Internal, /nothing that JSON can hold/],
  [
    "100 MiB",
    doing(() => "x".repeat(100 * 1024 * 1024)),
    {},
    Code.ResourceExhausted,
    /is larger than 262144 bytes, the most allowed$/,
  ],
  ["a million numbers", doing(() => Array(1_000_000).fill(0)), {}, Code.ResourceExhausted, /is larger than 262144 bytes/],
  ["more than it says", doing(() => "äöü", { maxResultBytes: 7 }), {}, Code.ResourceExhausted, /is larger than 7 bytes/],
])("a tool with %s fails, and its result says so", async (_what, tool, input, code, message) => {
  const agents = await startClient({ agents: [using(tool)] });
  const error = await failure(agents.process({ taskId: "t", content: JSON.stringify(input) }));
  expect([error.code, error.rawMessage]).toEqual([code, expect.stringMatching(message)]);
  const events: unknown[] = [];
  const reading = (async () => {
    for await (const { toolResult } of agents.stream({ taskId: "t" })) events.push(toolResult);
  })();
  expect((await failure(reading)).code).toBe(code);
  const results = events.filter((each) => each !== undefined);
  expect(results).toMatchObject([{ isError: true, resultJson: error.rawMessage }]);
});

test("a tool that is stopped with its task hears it, and its result counts for nothing", async () => {
  let heard: (reason: unknown) => void = () => {};
  const reason = new Promise<unknown>((resolve) => {
    heard = resolve;
  });
  const hanging = doing(async (_input, { signal }) => {
    await once(signal, "abort");
    heard(signal.reason);
    return "late";
  });
  const agents = await startClient({ agents: [using(hanging)] });
  for await (const { toolCall } of agents.stream({ taskId: "t", content: "null" })) if (toolCall !== undefined) break;
  expect(ConnectError.from(await reason).code).toBe(Code.Canceled);
  expect(await agents.get("t")).toMatchObject({ nextIndex: 3, error: { code: Code.Canceled } });
});

test(`of many calls ${toolBounds.maxAtOnce} work at once, and those beyond ${toolBounds.maxWaiting} that wait are refused`, async () => {
  const gate = new EventTarget();
  const opened = once(gate, "open");
  let [running, most] = [0, 0];
  const counting = doing(async () => {
    most = Math.max(most, ++running);
    await opened;
    running--;
  });
  const crowd = toolBounds.maxAtOnce + toolBounds.maxWaiting;
  const many = defineAgent({
    name: "many",
    async *run(_task, ctx) {
      const calls = Array.from({ length: crowd }, () => ctx.tool(counting, {}));
      const refused = await failure(ctx.tool(counting, {}));
      gate.dispatchEvent(new Event("open"));
      await Promise.all(calls);
      yield `${Code[refused.code]}: ${refused.rawMessage}`;
    },
  });
  const agents = await startClient({ agents: [many] });
  expect((await agents.process("go")).content).toBe("ResourceExhausted: 128 calls of tools wait in this run, the most allowed");
  expect([running, most]).toEqual([0, toolBounds.maxAtOnce]);
});

test("a tool can do what its agent can", async () => {
  const looking = doing((_input, ctx) => [ctx.caller.name, ctx.timeoutMs() > 0, ctx.budget, ctx.agents.cards.length]);
  const agents = await startClient({ agents: [using(looking)] });
  const { content } = await agents.process("null", { budget: { tokens: 7 } });
  expect(content).toBe('I ask. It is ["anonymous",true,{"tokens":7},0].');
});

test.each<[what: string, init: object, message: string]>([
  ["without a name", { name: "" }, `the tool's name "" must be 1 to 64 of A-Z a-z 0-9 _ -`],
  ["with a dot in its name", { name: "a.b" }, `the tool's name "a.b" must be 1 to 64 of A-Z a-z 0-9 _ -`],
  ["without input", { input: undefined }, `tool "doing" needs input: a Standard Schema, such as z.object({ … })`],
  ["without run", { run: "now" }, `tool "doing" needs run: async (input, ctx) => …`],
  ["with no time", { timeoutMs: 0 }, `tool "doing": timeoutMs is 0, and must be 1 to 3600000`],
  ["with time that is none", { timeoutMs: Number.NaN }, `tool "doing": timeoutMs is NaN, and must be 1 to 3600000`],
  [
    "with too much of a result",
    { maxResultBytes: 5 * 1024 * 1024 },
    `tool "doing": maxResultBytes is 5242880, and must be 1 to 4194304`,
  ],
])("a tool %s is refused", (_what, init, message) => {
  expect(() => defineTool({ ...doing(() => 0), ...init })).toThrow(message);
});

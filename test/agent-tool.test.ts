import { toolDefinitionOf } from "../src/agent/index.ts";
import { ResourceInfoSchema } from "../src/contract/index.ts";
import {
  type Agent,
  type Agents,
  agentTool,
  Code,
  ConnectError,
  citation,
  defineAgent,
  type Tool,
  usage,
} from "../src/index.ts";
import { failure } from "./support/failure.ts";
import { startClient, startServer } from "./support/server.ts";

const heard: { chain: readonly string[]; leftMs: number; tokens: number | undefined; content: string }[] = [];

/** Cites what it is asked. */
const citing = defineAgent({
  name: "librarian",
  capabilities: ["library.cite"],
  async *run({ content }, ctx) {
    const { tokens } = ctx.budget;
    heard.push({ chain: ctx.caller.chain.map(({ agent }) => agent), leftMs: ctx.timeoutMs(), tokens, content });
    if (content === "fail") throw new ConnectError("the library is closed", Code.FailedPrecondition);
    yield `on ${content}`;
    yield usage({ prompt: 2, completion: 1 });
    if (content !== "nothing") yield citation({ uri: "book:1", title: "One", quote: content, line: 3 });
  },
});

/** Runs its tool with each line of what it is asked, and says what came of it. */
function using(tool: Tool): Agent {
  return defineAgent({
    name: "reader",
    async *run(task, ctx) {
      for (const line of task.content.split("\n")) yield JSON.stringify(await ctx.tool(tool, JSON.parse(line)));
    },
  });
}

/** Where the agent may be that the tool asks. */
const places: readonly [name: string, start: (tool: Tool) => Promise<Agents>][] = [
  ["of the same server", (tool) => startClient({ agents: [using(tool), citing] })],
  [
    "of another server",
    async (tool) => {
      const { url: registry } = await startServer({ agents: [], registry: true });
      await startServer({ agents: [citing], register: { registry } });
      return startClient({ agents: [using(tool)], discover: { registry, waitForReady: true } });
    },
  ],
];

beforeEach(() => {
  heard.length = 0;
});

describe.each(places)("an agent %s as a tool", (_place, start) => {
  test("gives its answer and what that rests on, as plain JSON", async () => {
    const agents = await start(agentTool("library.cite"));
    const citations = [{ uri: "book:1", title: "One", quote: "tides" }];
    const { content } = await agents.process('{"content":"tides"}');
    expect(JSON.parse(content)).toEqual({ content: "on tides", citations });
    expect((await agents.process('{"content":"nothing"}')).content).toBe('{"content":"on nothing"}');
  });

  test("gets deadline, callers and budget", async () => {
    const agents = await start(agentTool("library.cite"));
    const answer = await agents.process('{"content":"tides"}', { timeoutMs: 20_000, budget: { tokens: 100, calls: 7 } });
    expect(heard).toEqual([{ chain: ["reader"], leftMs: expect.any(Number), tokens: 100, content: "tides" }]);
    expect(heard[0]?.leftMs).toBeLessThanOrEqual(20_000);
    expect(answer.spending).toMatchObject({ tokens: 3, calls: 1 });
  });

  test("is asked no more when the budget of calls is used up", async () => {
    const agents = await start(agentTool("library.cite"));
    const asked = ["a", "b", "c"].map((content) => JSON.stringify({ content })).join("\n");
    const error = await failure(agents.process(asked, { budget: { calls: 2 } }));
    expect([error.code, error.rawMessage]).toEqual([
      Code.ResourceExhausted,
      expect.stringMatching(/^the budget of 2 calls is used up: reader → /),
    ]);
    expect(heard.map(({ content }) => content)).toEqual(["a", "b"]);
  });

  test("fails with what the agent failed with", async () => {
    const agents = await start(agentTool("library.cite"));
    const error = await failure(agents.process('{"content":"fail"}'));
    expect([error.code, error.rawMessage]).toEqual([Code.FailedPrecondition, "the library is closed"]);
  });

  test.each([
    ["null", /expected an object with content$/],
    ['"tides"', /expected an object with content$/],
    ["{}", /content: expected a string that says what is asked$/],
    ['{"content":7}', /content: expected a string/],
    ['{"content":" "}', /content: expected a string/],
  ])("is not asked with %s", async (input, message) => {
    const error = await failure((await start(agentTool("library.cite"))).process(input));
    expect([error.code, error.rawMessage]).toEqual([Code.InvalidArgument, expect.stringMatching(message)]);
    expect(heard).toEqual([]);
  });
});

test("a capability that nobody has is NOT_FOUND, and named", async () => {
  const agents = await startClient({ agents: [using(agentTool("fly"))] });
  const error = await failure(agents.process('{"content":"up"}'));
  expect(error.code).toBe(Code.NotFound);
  expect(error.findDetails(ResourceInfoSchema)).toMatchObject([{ resourceType: "capability", resourceName: "fly" }]);
});

test("it says what it is, and what it takes, like other tools", () => {
  const { name, description, parametersJsonSchema } = toolDefinitionOf(agentTool("library.cite"));
  expect([name, description]).toEqual(["library_cite", "Asks an agent that can do this: library.cite."]);
  expect(JSON.parse(parametersJsonSchema)).toMatchObject({
    type: "object",
    properties: { content: { type: "string" } },
    required: ["content"],
  });
  const options = { name: "cite", description: "Finds books.", timeoutMs: 500, maxResultBytes: 100 };
  expect(agentTool("library.cite", options)).toMatchObject(options);
  expect(() => agentTool("library.cite", { timeoutMs: 0 })).toThrow(RangeError);
});

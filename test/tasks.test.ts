import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, QuotaFailureSchema, ResourceInfoSchema, RetryInfoSchema } from "../src/contract/index.ts";
import { defineAgent, type ServeOptions, Status } from "../src/index.ts";
import type { CallDefaults } from "../src/web/index.ts";
import { createGate } from "./support/agents.ts";
import { startClient as startClientWith } from "./support/server.ts";
import { taskPlaces } from "./support/task-places.ts";

describe.each(taskPlaces)("in %s", (_place, open) => {
  const startClient = async (options: Partial<ServeOptions> = {}, defaults: CallDefaults = {}) =>
    startClientWith({ ...(await open()), ...options }, defaults);

  async function failure(call: Promise<unknown>): Promise<ConnectError> {
    return call.then(
      () => Promise.reject(new Error("the call succeeded")),
      (thrown: unknown) => ConnectError.from(thrown),
    );
  }

  async function textsOf(stream: AsyncIterable<{ text: string; index: number }>) {
    const texts: [index: number, text: string][] = [];
    for await (const { index, text } of stream) if (text !== "") texts.push([index, text]);
    return texts;
  }

  describe("which agent answers", () => {
    test("the first when none is named, else the one that is named", async () => {
      const agents = await startClient();
      expect((await agents.process("hi")).content).toBe("hi ");
      expect((await agents.agent("remembering").process("hi")).content).toBe("0 before: ");
      expect((await agents.process("hi", { agent: "remembering" })).content).toBe("0 before: ");
    });

    test("an unknown name is NOT_FOUND with a ResourceInfo and the names there are", async () => {
      const agents = await startClient();
      const error = await failure(agents.process("hi", { agent: "nobody" }));
      expect(error.code).toBe(Code.NotFound);
      expect(error.rawMessage).toBe('there is no agent "nobody"; the agents here are echo, failing, asking, remembering');
      expect(error.findDetails(ResourceInfoSchema)).toMatchObject([{ resourceType: "agent", resourceName: "nobody" }]);
    });
  });

  describe("a task id", () => {
    test("with the same request attaches: one run, equal answers", async () => {
      let runs = 0;
      const counting = defineAgent({
        name: "counting",
        async *run() {
          yield `run ${++runs}`;
        },
      });
      const agents = await startClient({ agents: [counting] });
      const request = { taskId: "t-1", content: "x", metadata: { a: "1", b: "2" } };
      const same = { taskId: "t-1", content: "x", metadata: { b: "2", a: "1" } };
      const answers = await Promise.all([request, same, request].map((each) => agents.process(each)));
      expect(answers.map((answer) => answer.content)).toEqual(["run 1", "run 1", "run 1"]);
      expect((await agents.process(same)).content).toBe("run 1");
    });

    test("with another request is ALREADY_EXISTS, reason TASK_ID_REUSED", async () => {
      const agents = await startClient();
      await agents.process({ taskId: "t-2", content: "x" });
      const error = await failure(agents.process({ taskId: "t-2", content: "y" }));
      expect(error.code).toBe(Code.AlreadyExists);
      expect(error.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: "TASK_ID_REUSED", domain: "convoke" }]);
    });

    test("that is forgotten is NOT_FOUND", async () => {
      const agents = await startClientWith({ limits: { maxEndedTasks: 1 } });
      await agents.process({ taskId: "old", content: "x" });
      await agents.process({ taskId: "new", content: "x" });
      expect((await failure(agents.get("old"))).code).toBe(Code.NotFound);
      expect((await agents.get("new")).status).toBe(Status.COMPLETED);
    });
  });

  describe("a stream", () => {
    test("goes on from an index, of a finished task too", async () => {
      const agents = await startClient();
      const task = { taskId: "s-1", content: "a b c" };
      expect(await textsOf(agents.stream(task))).toEqual([
        [0, "a "],
        [1, "b "],
        [2, "c "],
      ]);
      expect(await textsOf(agents.stream({ ...task, fromIndex: 2 }))).toEqual([[2, "c "]]);
      expect(await textsOf(agents.stream({ ...task, fromIndex: 6 }))).toEqual([]);
    });

    test("from beyond the end is OUT_OF_RANGE", async () => {
      const agents = await startClient();
      await agents.process({ taskId: "s-2", content: "a" });
      const error = await failure(textsOf(agents.stream({ taskId: "s-2", content: "a", fromIndex: 5 })));
      expect(error.code).toBe(Code.OutOfRange);
      expect(error.rawMessage).toMatch(/from_index is 5 .* 4 events/);
    });

    test("a second reader joins a running task at its beginning", async () => {
      const gate = createGate();
      const agents = await startClient({ agents: [gate.agent] });
      const first = textsOf(agents.stream({ taskId: "s-3", content: "x" }));
      await gate.running;
      const second = textsOf(agents.stream({ taskId: "s-3", content: "x" }));
      gate.open();
      expect(await first).toEqual(await second);
      expect(await second).toEqual([
        [0, "first"],
        [1, " second"],
      ]);
    });
  });

  describe("a failure", () => {
    test("that the agent typed reaches the caller as it is", async () => {
      const agents = await startClient();
      const error = await failure(agents.process("typed", { agent: "failing" }));
      expect(error).toMatchObject({ code: Code.FailedPrecondition, rawMessage: "the calendar is read-only" });
    });

    test("that nobody foresaw is INTERNAL and tells nothing of the inside", async () => {
      const agents = await startClient();
      const error = await failure(agents.process("crash", { agent: "failing" }));
      expect(error).toMatchObject({ code: Code.Internal, rawMessage: 'agent "failing" failed in an unforeseen way' });
    });

    test("streams what came before it", async () => {
      const agents = await startClient();
      const texts: string[] = [];
      const reading = (async () => {
        for await (const chunk of agents.stream("typed", { agent: "failing" })) texts.push(chunk.text);
      })();
      expect((await failure(reading)).code).toBe(Code.FailedPrecondition);
      expect(texts).toEqual(["before "]);
    });

    test("of an agent that yields nonsense is INTERNAL", async () => {
      const nonsense = defineAgent({
        name: "nonsense",
        async *run() {
          yield JSON.parse("42");
        },
      });
      const agents = await startClient({ agents: [nonsense] });
      expect((await failure(agents.process("x"))).code).toBe(Code.Internal);
    });
  });

  describe("ending a task", () => {
    test("CancelTask aborts the agent's signal and ends the caller's wait", async () => {
      const gate = createGate();
      const agents = await startClient({ agents: [gate.agent] });
      const answer = failure(agents.process({ taskId: "c-1", content: "x" }));
      await gate.running;
      expect((await agents.cancel("c-1")).status).toBe(Status.CANCELLED);
      expect((await answer).code).toBe(Code.Canceled);
      expect(await gate.stopped).toMatchObject({ code: Code.Canceled });
      expect(await agents.get("c-1")).toMatchObject({ status: Status.CANCELLED, response: { content: "first" } });
    });

    test.each(["reset", "close"])("a caller that leaves (%s) stops its task", async (how) => {
      const gate = createGate();
      const agents = await startClient({ agents: [gate.agent] });
      const leave = new AbortController();
      const answer = failure(agents.process("x", { signal: leave.signal }));
      await gate.running;
      if (how === "reset") leave.abort();
      else agents.close();
      expect((await answer).code).toBe(Code.Canceled);
      expect(await gate.stopped).toMatchObject({ code: Code.Canceled });
    });

    test.each([
      ["its task says so", { taskId: "d-1", content: "x", detached: true }, {}, {}],
      ["the call says so", { taskId: "d-3", content: "x" }, { detached: true }, {}],
      ["all calls of the client are", { taskId: "d-4", content: "x" }, {}, { detached: true }],
    ])("a task runs on without its caller where %s", async (_where, task, options, defaults) => {
      const gate = createGate();
      const agents = await startClient({ agents: [gate.agent] }, defaults);
      const leave = new AbortController();
      const answer = failure(agents.process(task, { ...options, signal: leave.signal }));
      await gate.running;
      leave.abort();
      await answer;
      gate.open();
      expect((await agents.process(task)).content).toBe("first second");
    });

    test("one of two callers may leave", async () => {
      const gate = createGate();
      const agents = await startClient({ agents: [gate.agent] });
      const leave = new AbortController();
      const first = failure(agents.process({ taskId: "d-2", content: "x" }, { signal: leave.signal }));
      const second = textsOf(agents.stream({ taskId: "d-2", content: "x" }));
      await gate.running;
      leave.abort();
      await first;
      gate.open();
      expect((await second).map(([, text]) => text).join("")).toBe("first second");
    });

    test("the caller's deadline reaches the agent", async () => {
      let left = Number.NaN;
      const patient = defineAgent({
        name: "patient",
        async *run(_task, ctx) {
          left = ctx.timeoutMs();
          yield "waiting";
          await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
        },
      });
      const agents = await startClient({ agents: [patient] });
      const error = await failure(agents.process({ taskId: "dl", content: "x" }, { timeoutMs: 200 }));
      expect(error.code).toBe(Code.DeadlineExceeded);
      expect(left).toBeGreaterThan(0);
      expect(left).toBeLessThanOrEqual(200);
    });

    test("a deadline beyond the server's cap is cut to it", async () => {
      const gate = createGate();
      const agents = await startClient({ agents: [gate.agent], limits: { maxDeadlineMs: 50 } });
      expect((await failure(agents.process("x", { timeoutMs: 60_000 }))).code).toBe(Code.DeadlineExceeded);
    });
  });

  describe("the caller's tools", () => {
    const task = { agentId: "asking", content: "Berlin", availableTools: [{ name: "clock" }] };

    test("a call to one ends the task's part, and its result lets it go on under the same id", async () => {
      const agents = await startClient();
      const first = await agents.process({ ...task, taskId: "tool-1" });
      expect(first).toMatchObject({
        status: Status.REQUIRES_TOOL_CALL,
        toolCalls: [{ callId: "call-1", toolName: "clock", argumentsJson: '{"zone":"Berlin"}' }],
      });
      const toolResults = [{ callId: "call-1", resultJson: '"noon"' }];
      const second = await agents.process({ taskId: "tool-1", toolResults });
      expect(second).toMatchObject({ status: Status.COMPLETED, content: 'it is "noon"' });
      expect(await agents.process({ taskId: "tool-1", toolResults })).toEqual(second);
    });

    test("a stream of the continued task has all its events in one numbering", async () => {
      const agents = await startClient();
      await agents.process({ ...task, taskId: "tool-2" });
      await agents.process({ taskId: "tool-2", toolResults: [{ callId: "call-1", resultJson: '"noon"' }] });
      const kinds: string[] = [];
      for await (const chunk of agents.stream({ ...task, taskId: "tool-2" })) {
        kinds.push(chunk.toolCall ? "call" : chunk.toolResult ? "result" : chunk.text || Status[chunk.status]);
        expect(chunk.index).toBe(kinds.length - 1);
        expect(chunk.isFinal).toBe(kinds.length === 5);
      }
      expect(kinds).toEqual(["call", "REQUIRES_TOOL_CALL", "result", 'it is "noon"', "COMPLETED"]);
    });

    test.each([
      ["an unknown call", [{ callId: "call-9", resultJson: "1" }], Code.InvalidArgument],
      ["a result that is no JSON", [{ callId: "call-1", resultJson: "noon" }], Code.InvalidArgument],
      ["a result without a call", [{ callId: "", resultJson: "1" }], Code.InvalidArgument],
    ])("%s is refused and the task still waits", async (_what, toolResults, code) => {
      const agents = await startClient();
      await agents.process({ ...task, taskId: "tool-3" });
      expect((await failure(agents.process({ taskId: "tool-3", toolResults }))).code).toBe(code);
      expect((await agents.get("tool-3")).status).toBe(Status.REQUIRES_TOOL_CALL);
    });

    test("results for a task that awaits none are FAILED_PRECONDITION, for an unknown one NOT_FOUND", async () => {
      const agents = await startClient();
      await agents.process({ taskId: "tool-4", content: "x" });
      const toolResults = [{ callId: "c", resultJson: "1" }];
      expect((await failure(agents.process({ taskId: "tool-4", toolResults }))).code).toBe(Code.FailedPrecondition);
      expect((await failure(agents.process({ taskId: "tool-5", toolResults }))).code).toBe(Code.NotFound);
    });
  });

  describe("bounds", () => {
    test("too many tasks at once are RESOURCE_EXHAUSTED with a RetryInfo", async () => {
      const gate = createGate();
      const agents = await startClient({ agents: [gate.agent], limits: { maxRunningTasks: 1 } });
      const first = agents.process("x");
      await gate.running;
      const error = await failure(agents.process("y"));
      expect(error.code).toBe(Code.ResourceExhausted);
      expect(error.findDetails(QuotaFailureSchema)).toMatchObject([{ violations: [{ subject: "running tasks" }] }]);
      expect(error.findDetails(RetryInfoSchema)).toMatchObject([{ retryDelay: { seconds: 1n } }]);
      gate.open();
      expect((await first).content).toBe("first second");
    });

    test.each([
      ["events", { maxTaskEvents: 1_000 }],
      ["bytes", { maxTaskBytes: 100_000 }],
    ])("an agent that never stops ends at its %s, and the server answers meanwhile", async (_what, limits) => {
      const endless = defineAgent({
        name: "endless",
        async *run() {
          for (;;) yield "more";
        },
      });
      const agents = await startClient({ agents: [endless], limits });
      expect((await failure(agents.process("x"))).code).toBe(Code.ResourceExhausted);
    });

    test("agents that call each other in a circle end in RESOURCE_EXHAUSTED", async () => {
      const [a, b] = [
        ["a", "b"],
        ["b", "a"],
      ].map(([name = "", other = ""]) =>
        defineAgent({
          name,
          capabilities: [name],
          async *run(task, ctx) {
            yield* ctx.agents.capability(other).stream(task.content);
          },
        }),
      );
      if (a === undefined || b === undefined) throw new Error("two agents");
      const agents = await startClient({ agents: [a, b] });
      const error = await failure(agents.process("x"));
      expect(error.code).toBe(Code.ResourceExhausted);
      expect(error.rawMessage).toBe("agents call each other more than 8 deep: a → b → a → b → a → b → a → b → a");
    });
  });

  describe("a conversation", () => {
    test("hands the turns before to the agent, each caller's conversation apart", async () => {
      const agents = (await startClient()).agent("remembering");
      expect((await agents.process({ content: "one", conversationId: "c" })).content).toBe("0 before: ");
      expect((await agents.process({ content: "two", conversationId: "c" })).content).toBe("1 before: one=0 before: ");
      expect((await agents.process({ content: "other", conversationId: "d" })).content).toBe("0 before: ");
    });

    test("forgets its oldest turns beyond the bound", async () => {
      const agents = (await startClient({ limits: { maxTurns: 1 } })).agent("remembering");
      for (const content of ["one", "two"]) await agents.process({ content, conversationId: "c" });
      expect((await agents.process({ content: "three", conversationId: "c" })).content).toMatch(/^1 before: two=/);
    });
  });

  describe("a call to another agent of the server", () => {
    test("hands on its events and shares the deadline", async () => {
      let left = Number.NaN;
      const inner = defineAgent({
        name: "inner",
        capabilities: ["deep"],
        async *run(task, ctx) {
          left = ctx.timeoutMs();
          yield `inner heard ${task.content}`;
        },
      });
      const outer = defineAgent({
        name: "outer",
        async *run(task, ctx) {
          yield* ctx.agents.capability("deep").stream(task.content);
        },
      });
      const agents = await startClient({ agents: [outer, inner] });
      expect((await agents.process("you", { timeoutMs: 5_000 })).content).toBe("inner heard you");
      expect(left).toBeLessThanOrEqual(5_000);
    });
  });
});

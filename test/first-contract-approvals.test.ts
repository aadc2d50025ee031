import { createClient } from "@connectrpc/connect";
import { z } from "zod";
import { AgentService, Status as FirstStatus } from "../gen/agent/agent_pb.js";
import { Code, connect, defineAgent, defineTool, inputRequest, Status } from "../src/index.ts";
import { createTransport } from "../src/wire/index.ts";
import { failure } from "./support/failure.ts";
import { startServer } from "./support/server.ts";
import { taskPlaces } from "./support/task-places.ts";

const pay = defineTool({ name: "pay", input: z.object({ amount: z.number() }), approve: true, run: () => "receipt" });

const payer = defineAgent({
  name: "payer",
  async *run(task, ctx) {
    if (task.content === "hello") return yield "Hello.";
    if (task.inputs.length === 0) yield "Shall I? ";
    yield `I have a ${await ctx.tool(pay, { amount: Number(task.content) })}.`;
  },
});

const sentence = (taskId: string) =>
  `task "${taskId}" waits for somebody's answer (May agent "payer" call the tool "pay"?): ` +
  'give it by "convoke tasks answer", or inputs by agent.v1; then ask again with this task_id';

describe.each(taskPlaces)("a task that waits for leave, in %s", (_place, open) => {
  async function start() {
    const { url } = await startServer({ ...(await open()), agents: [payer] });
    const transport = createTransport({ baseUrl: url });
    const agents = connect(url);
    onEnd.push(() => {
      agents.close();
      transport.close();
    });
    return { first: createClient(AgentService, transport), agents };
  }
  const onEnd: (() => void)[] = [];
  afterAll(() => {
    for (const end of onEnd) end();
  });

  test("says so to ProcessTask by the first contract, which has the answer when leave has been given", async () => {
    const { first, agents } = await start();
    const request = { taskId: "t", content: "5" };
    const error = await failure(first.processTask(request));
    expect([error.code, error.rawMessage]).toEqual([Code.FailedPrecondition, sentence("t")]);
    const { response } = await agents.get("t");
    const inputs = response?.inputRequests.map(({ inputId }) => ({ inputId, approved: true })) ?? [];
    await agents.process({ taskId: "t", inputs });
    expect(await first.processTask(request)).toMatchObject({
      content: "Shall I? I have a receipt.",
      status: FirstStatus.COMPLETED,
    });
  });

  test("… to StreamResponse, after the text before it, and never as a whole answer", async () => {
    const { first, agents } = await start();
    const chunks: unknown[] = [];
    const reading = async () => {
      for await (const { text, isFinal } of first.streamResponse({ taskId: "t", content: "5" })) chunks.push([text, isFinal]);
    };
    const error = await failure(reading());
    expect([error.code, error.rawMessage]).toEqual([Code.FailedPrecondition, sentence("t")]);
    expect(chunks).toEqual([["Shall I? ", false]]);
    expect((await agents.get("t")).status).toBe(Status.REQUIRES_INPUT);
  });

  test("… to Converse, where the next turn is answered, and the task goes on waiting", async () => {
    const { first, agents } = await start();
    const turns = async function* () {
      yield { taskId: "one", content: "5" };
      yield { taskId: "two", content: "hello" };
    };
    const seen: unknown[] = [];
    for await (const { taskId, text, isFinal, status } of first.converse(turns()))
      seen.push([taskId, text, isFinal && FirstStatus[status]]);
    expect(seen).toEqual([
      ["one", "Shall I? ", false],
      ["one", sentence("one"), "ERROR"],
      ["two", "Hello.", false],
      ["two", "", "COMPLETED"],
    ]);
    expect((await agents.get("one")).status).toBe(Status.REQUIRES_INPUT);
  });
});

test("what is asked is cut where it would be too long for a trailer", async () => {
  const asking = defineAgent({
    name: "asking",
    async *run() {
      yield inputRequest({ prompt: `a${"😀".repeat(50_000)}` });
    },
  });
  const { url } = await startServer({ agents: [asking] });
  const transport = createTransport({ baseUrl: url });
  const error = await failure(createClient(AgentService, transport).processTask({ taskId: "t", content: "hi" }));
  transport.close();
  expect(error.code).toBe(Code.FailedPrecondition);
  expect(error.rawMessage).toContain(`(a${"😀".repeat(149)}…)`);
});

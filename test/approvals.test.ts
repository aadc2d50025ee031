import { z } from "zod";
import {
  type Agents,
  Code,
  connect,
  createMemoryStore,
  defineAgent,
  defineTool,
  inputRequest,
  modelAgent,
  Status,
  type Store,
  withinBudget,
} from "../src/index.ts";
import { failure } from "./support/failure.ts";
import { type Answer, calling, saying, startModel } from "./support/model-server.ts";
import { startClient, startServer } from "./support/server.ts";
import { taskPlaces } from "./support/task-places.ts";

/** A tool that needs leave, and what it was called with. */
function createPayment() {
  const paid: number[] = [];
  const pay = defineTool({
    name: "pay",
    description: "Pays an amount.",
    input: z.object({ amount: z.number().positive() }),
    approve: true,
    run: ({ amount }) => `receipt ${paid.push(amount)}`,
  });
  return { pay, paid };
}

type Pay = ReturnType<typeof createPayment>["pay"];

const paying = (pay: Pay) =>
  defineAgent({
    name: "payer",
    capabilities: ["pay"],
    async *run(task, ctx) {
      if (task.events.length === 0) yield "I ask. ";
      yield `Done: ${await ctx.tool(pay, JSON.parse(task.content))}.`;
    },
  });

/** What a task asks for, and the id of it. */
async function asked(agents: Agents, content = '{"amount":5}', taskId = "t") {
  const answer = await agents.process({ taskId, content });
  return { answer, inputId: answer.inputRequests[0]?.inputId ?? "" };
}

describe.each(taskPlaces)("in %s", (_place, open) => {
  const start = async (pay: Pay) => startClient({ ...(await open()), agents: [paying(pay)] });

  test("a tool that needs leave waits for it, and is called when it has been given", async () => {
    const { pay, paid } = createPayment();
    const agents = await start(pay);
    const { answer, inputId } = await asked(agents);
    expect(answer).toMatchObject({
      status: Status.REQUIRES_INPUT,
      content: "I ask. ",
      inputRequests: [
        { prompt: 'May agent "payer" call the tool "pay"?', toolCall: { toolName: "pay", argumentsJson: '{"amount":5}' } },
      ],
    });
    expect(paid).toEqual([]);
    const waiting = await agents.get("t");
    expect([waiting.status, waiting.endTime]).toEqual([Status.REQUIRES_INPUT, undefined]);
    const done = await agents.process({ taskId: "t", inputs: [{ inputId, approved: true }] });
    expect(done).toMatchObject({ status: Status.COMPLETED, content: "I ask. Done: receipt 1.", inputRequests: [] });
    expect(paid).toEqual([5]);
  });

  test("the whole of it is in the log, numbered without gaps", async () => {
    const agents = await start(createPayment().pay);
    const { inputId } = await asked(agents);
    await agents.process({ taskId: "t", inputs: [{ inputId, approved: true, text: "fine" }] });
    const events: unknown[] = [];
    for await (const { index, text, toolCall, toolResult, inputRequest: request, input, status } of agents.stream({
      taskId: "t",
    })) {
      events.push([
        index,
        text || toolCall?.toolName || toolResult?.resultJson || request?.prompt || input?.text || Status[status],
      ]);
    }
    expect(events).toEqual([
      [0, "I ask. "],
      [1, "pay"],
      [2, 'May agent "payer" call the tool "pay"?'],
      [3, "REQUIRES_INPUT"],
      [4, "fine"],
      [5, '"receipt 1"'],
      [6, "Done: receipt 1."],
      [7, "COMPLETED"],
    ]);
  });

  test("one that is not allowed is not called, and the agent is told why", async () => {
    const { pay, paid } = createPayment();
    const agents = await start(pay);
    const { inputId } = await asked(agents);
    const error = await failure(agents.process({ taskId: "t", inputs: [{ inputId, approved: false, text: "too dear" }] }));
    expect([error.code, error.rawMessage]).toEqual([
      Code.PermissionDenied,
      'the call of tool "pay" was not approved: too dear',
    ]);
    expect(paid).toEqual([]);
  });

  test("an answer that is repeated is taken once", async () => {
    const { pay, paid } = createPayment();
    const agents = await start(pay);
    const { inputId } = await asked(agents);
    const request = { taskId: "t", inputs: [{ inputId, approved: true }] };
    const answers = [await agents.process(request), await agents.process(request)];
    expect(answers.map(({ content }) => content)).toEqual(Array(2).fill("I ask. Done: receipt 1."));
    expect(paid).toEqual([5]);
  });

  test("nobody is asked about a call that would fail", async () => {
    const agents = await start(createPayment().pay);
    const error = await failure(agents.process({ taskId: "t", content: '{"amount":-1}' }));
    expect([error.code, error.rawMessage]).toEqual([Code.InvalidArgument, expect.stringContaining("amount: ")]);
  });

  test("a task that waits can be cancelled", async () => {
    const { pay, paid } = createPayment();
    const agents = await start(pay);
    const { inputId } = await asked(agents);
    expect(await agents.cancel("t")).toMatchObject({ status: Status.CANCELLED });
    const error = await failure(agents.process({ taskId: "t", inputs: [{ inputId, approved: true }] }));
    expect(error.code).toBe(Code.FailedPrecondition);
    expect(paid).toEqual([]);
  });

  test.each<[what: string, inputs: (inputId: string) => object[], message: RegExp]>([
    [
      "another request's",
      () => [{ inputId: "x", approved: true }],
      /^inputs\[0\].input_id "x" is no open request for input; open are \S+; inputs lacks the answers to/,
    ],
    [
      "no word of leave",
      (inputId) => [{ inputId, text: "well" }],
      /^inputs\[0\].approved is missing; say whether the tool may be called$/,
    ],
    ["no id", () => [{ approved: true }], /^inputs\[0\].input_id is missing; name the request for input$/],
    [
      "too many words",
      (inputId) => [{ inputId, approved: true, text: "x".repeat(65_537) }],
      /^inputs\[0\].text has 65537 characters; at most 65536 are allowed$/,
    ],
  ])("an answer with %s is refused, and the task still waits", async (_what, inputs, message) => {
    const agents = await start(createPayment().pay);
    const { inputId } = await asked(agents);
    const error = await failure(agents.process({ taskId: "t", inputs: inputs(inputId) }));
    expect([error.code, error.rawMessage]).toEqual([Code.InvalidArgument, expect.stringMatching(message)]);
    expect((await agents.get("t")).status).toBe(Status.REQUIRES_INPUT);
  });

  test("an agent with guardrails asks as others do", async () => {
    const { pay, paid } = createPayment();
    const guardrails = [withinBudget({ chars: 100 })];
    const agents = await startClient({ ...(await open()), agents: [{ ...paying(pay), guardrails }] });
    const { answer, inputId } = await asked(agents);
    expect(answer.status).toBe(Status.REQUIRES_INPUT);
    expect((await agents.process({ taskId: "t", inputs: [{ inputId, approved: true }] })).content).toBe(
      "I ask. Done: receipt 1.",
    );
    expect(paid).toEqual([5]);
  });

  test("an agent can ask for words, too", async () => {
    const asking = defineAgent({
      name: "asking",
      async *run({ inputs: [given] }) {
        if (given === undefined) yield inputRequest({ id: "name", prompt: "What is your name?" });
        else yield `Hello ${given.text}.`;
      },
    });
    const agents = await startClient({ ...(await open()), agents: [asking] });
    const { inputId } = await asked(agents, "hi");
    expect(inputId).toBe("name");
    expect(await agents.process({ taskId: "t", inputs: [{ inputId, text: "Ana" }] })).toMatchObject({ content: "Hello Ana." });
  });

  test("Converse asks, and goes on with the answer", async () => {
    const { pay, paid } = createPayment();
    const agents = await start(pay);
    const chat = agents.converse();
    chat.send('{"amount":7}');
    const seen: unknown[] = [];
    for await (const { event } of chat) {
      if (event.case === "inputRequest") chat.input({ inputId: event.value.inputId, approved: true });
      if (event.case !== "turnFinished") continue;
      seen.push(Status[event.value.status]);
      if (event.value.status === Status.COMPLETED) chat.end();
    }
    expect(seen).toEqual(["REQUIRES_INPUT", "COMPLETED"]);
    expect(paid).toEqual([7]);
  });
});

test("an answer in Converse that nobody waits for is FAILED_PRECONDITION", async () => {
  const agents = await startClient({ agents: [paying(createPayment().pay)] });
  const chat = agents.converse();
  chat.input({ inputId: "x", approved: true });
  const reading = (async () => {
    for await (const _ of chat);
  })();
  const error = await failure(reading);
  expect([error.code, error.rawMessage]).toEqual([Code.FailedPrecondition, 'no turn awaits the input "x"']);
});

test("an agent that asks another one cannot be asked in turn: the call says so", async () => {
  const { pay, paid } = createPayment();
  const asking = defineAgent({ name: "asking", run: (task, ctx) => ctx.agents.capability("pay").stream(task.content) });
  const agents = await startClient({ agents: [asking, paying(pay)] });
  const error = await failure(agents.process('{"amount":5}'));
  expect([error.code, error.rawMessage]).toEqual([
    Code.FailedPrecondition,
    'agent "payer" asks somebody for input, which an agent that asks it cannot give: May agent "payer" call the tool "pay"?',
  ]);
  expect(paid).toEqual([]);
});

/** Two servers that share a store, with the same agent. */
async function startPair(store: Store, agent: ReturnType<typeof defineAgent>) {
  const servers = [await startServer({ agents: [agent], store }), await startServer({ agents: [agent], store })];
  const clients = servers.map(({ url }) => connect({ url }));
  for (const each of clients) opened.add(each);
  return { servers, clients };
}
const opened = new Set<Agents>();
afterAll(() => {
  for (const agents of opened) agents.close();
});

describe("a model's tool", () => {
  const paidBy = async (pay: Pay, answers: readonly Answer[]) => {
    const { model, asked: prompts } = await startModel(...answers);
    const agent = modelAgent({ name: "model", model, tools: [pay], maxRetries: 0 });
    return { prompts, ...(await startPair(createMemoryStore(), agent)) };
  };

  test("that was allowed is called by another server, and the model goes on with its result", async () => {
    const { pay, paid } = createPayment();
    const { prompts, servers, clients } = await paidBy(pay, [calling(["c1", "pay", '{"amount":5}']), saying("Paid.")]);
    const [one, other] = clients as [Agents, Agents]; // two of them
    const { answer, inputId } = await asked(one, "pay five");
    expect(answer).toMatchObject({
      status: Status.REQUIRES_INPUT,
      inputRequests: [{ toolCall: { callId: "c1", toolName: "pay" } }],
    });
    await servers[0]?.close({ graceMs: 0 });
    const done = await other.process({ taskId: "t", inputs: [{ inputId, approved: true }] });
    expect(done).toMatchObject({ status: Status.COMPLETED, content: "Paid." });
    expect(paid).toEqual([5]);
    expect(prompts[1]?.messages.at(-1)).toMatchObject({ role: "tool", tool_call_id: "c1", content: "receipt 1" });
  });

  test("that was not allowed is not called, and the model is told", async () => {
    const { pay, paid } = createPayment();
    const { prompts, clients } = await paidBy(pay, [calling(["c1", "pay", '{"amount":5}']), saying("I did not.")]);
    const [one] = clients as [Agents]; // there are two
    const { inputId } = await asked(one, "pay five");
    const done = await one.process({ taskId: "t", inputs: [{ inputId, approved: false, text: "too dear" }] });
    expect(done).toMatchObject({ status: Status.COMPLETED, content: "I did not." });
    expect(paid).toEqual([]);
    expect(prompts[1]?.messages.at(-1)).toMatchObject({
      role: "tool",
      tool_call_id: "c1",
      content: expect.stringContaining("too dear"),
    });
  });
});

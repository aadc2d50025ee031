import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { TaskLogEntrySchema } from "../src/contract/index.ts";
import { fromRpcStatus } from "../src/core/index.ts";
import {
  createMemoryStore,
  defineAgent,
  type Guardrail,
  noSecrets,
  Status,
  toolCall,
  usage,
  withinBudget,
} from "../src/index.ts";
import { createGate } from "./support/agents.ts";
import { violationsOf } from "./support/guardrail-contract.ts";
import { startClient } from "./support/server.ts";

const short = withinBudget({ chars: 12 });

const echo = defineAgent({
  name: "guarded",
  capabilities: ["guarded"],
  guardrails: [short, noSecrets({ mode: "redact" })],
  async *run(task) {
    for (const piece of task.content.split("|")) yield piece;
    yield usage({ prompt: 2, completion: 1 });
  },
});

const refused = [
  { type: "GUARDRAIL", subject: "withinBudget", description: "13 characters are over the budget of 12" },
] as const;

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  const thrown = await call.catch((error: unknown) => error);
  if (thrown instanceof ConnectError) return thrown;
  throw new Error("it did not fail");
}

test("what passes is delivered as it was yielded", async () => {
  const client = await startClient({ agents: [echo] });
  const texts: string[] = [];
  for await (const { text, index } of client.stream("one|two")) texts.push(`${index}${text}`);
  expect(texts).toEqual(["0one", "1two", "2", "3"]);
  expect(await client.process("one|two")).toMatchObject({ content: "onetwo", usage: { promptTokens: 2, completionTokens: 1 } });
});

test.each([
  ["in the process", {}],
  ["in a store", { store: createMemoryStore() }],
])("a block fails the task, none of it is delivered, and its log keeps why: %s", async (_, options) => {
  const client = await startClient({ agents: [echo], ...options });
  const texts: string[] = [];
  const streaming = (async () => {
    for await (const { text } of client.stream({ taskId: "long", content: "one|two|and more" })) texts.push(text);
  })();
  const error = await failureOf(streaming);
  expect(error.code).toBe(Code.FailedPrecondition);
  expect(violationsOf(error)).toEqual([{ ...refused[0], description: "14 characters are over the budget of 12" }]);
  expect(texts).toEqual([""]); // the mark
  const task = await client.get("long");
  expect(task).toMatchObject({ status: Status.ERROR, nextIndex: 2, response: { content: "" } });
  expect(task.error && violationsOf(fromRpcStatus(task.error))).toEqual(violationsOf(error));
  expect(violationsOf(await failureOf(client.process({ taskId: "long", content: "one|two|and more" })))).toHaveLength(1);
});

test("an amended answer is what the log keeps", async () => {
  const secret = ["sk", "_live_", "a1B2c3D4e5F6g7H8"].join("");
  const long = defineAgent({ ...echo, guardrails: [noSecrets({ mode: "redact" })] });
  const client = await startClient({ agents: [long] });
  await client.process({ taskId: "t", content: `it is ${secret.slice(0, 9)}|${secret.slice(9)}.` });
  expect((await client.get("t")).response?.content).toBe("it is [Stripe key].");
});

test("an agent that another one asks is held to its own guardrails", async () => {
  const asking = defineAgent({
    name: "asking",
    async *run(task, { agents }) {
      yield* agents.capability("guarded").stream(task.content);
    },
  });
  const client = await startClient({ agents: [asking, echo] });
  expect((await client.agent("asking").process("short")).content).toBe("short");
  const error = await failureOf(client.agent("asking").process("x".repeat(13)));
  expect(violationsOf(error)).toEqual(refused);
});

test("each part of a task that waits for tools is verified before its caller sees it", async () => {
  const parts: string[][] = [];
  const watching: Guardrail = {
    name: "watching",
    check({ status }, trace) {
      parts.push([Status[status], ...trace.map((event) => event.case)]);
      return { outcome: "pass" };
    },
  };
  const asking = defineAgent({
    name: "asking",
    guardrails: [watching, short],
    async *run({ toolResults: [result] }) {
      if (result === undefined) yield toolCall({ id: "1", name: "clock", arguments: {} });
      else yield result.resultJson;
    },
  });
  const client = await startClient({ agents: [asking] });
  const task = { taskId: "t", content: "x", availableTools: [{ name: "clock" }] };
  expect(await client.process(task)).toMatchObject({ status: Status.REQUIRES_TOOL_CALL, toolCalls: [{ callId: "1" }] });
  const toolResults = [{ callId: "1", resultJson: '"so long a text"' }];
  expect(violationsOf(await failureOf(client.process({ taskId: "t", toolResults })))).toHaveLength(1);
  expect(parts).toEqual([
    ["REQUIRES_TOOL_CALL", "toolCall"],
    ["COMPLETED", "toolResult", "text"],
  ]);
});

test("what is held back has the bounds of a task", async () => {
  const endless = defineAgent({
    name: "endless",
    guardrails: [short],
    async *run() {
      for (;;) yield "x";
    },
  });
  const client = await startClient({ agents: [endless], limits: { maxTaskEvents: 1_000 } });
  expect(await failureOf(client.process("x"))).toMatchObject({ code: Code.ResourceExhausted });
});

test("a task that is cancelled while its answer is held back ends so, and its agent with it", async () => {
  const { agent, running, open, stopped } = createGate();
  const client = await startClient({ agents: [defineAgent({ ...agent, guardrails: [short] })] });
  const call = failureOf(client.process({ taskId: "t", content: "x" }));
  await running;
  await client.cancel("t");
  open();
  expect(await call).toMatchObject({ code: Code.Canceled });
  expect(await stopped).toMatchObject({ code: Code.Canceled });
});

test("what was blocked is in the task's log, marked, and no caller is shown more than the mark", async () => {
  const store = createMemoryStore();
  const client = await startClient({ agents: [echo], store });
  const chunks: unknown[] = [];
  const streaming = (async () => {
    for await (const { index, guardrailBlock } of client.stream({ taskId: "long", content: "one|two|and more" }))
      chunks.push({ index, guardrailBlock });
  })();
  await failureOf(streaming);
  const mark = { guardrail: "withinBudget", reasons: ["14 characters are over the budget of 12"] };
  expect(chunks).toMatchObject([{ index: 0, guardrailBlock: { ...mark, text: "" } }]);
  const [log] = await store.logs("task/");
  const entries: unknown[] = [];
  for await (const bytes of store.read(log?.name ?? "", 0)) entries.push(fromBinary(TaskLogEntrySchema, bytes).step);
  expect(entries[1]).toMatchObject({ case: "guardrailBlock", value: { ...mark, text: "onetwoand more" } });
});

test("in a conversation, too, no more than the mark is shown", async () => {
  const client = await startClient({ agents: [echo] });
  const chat = client.converse();
  chat.send("one|two|and more");
  chat.end();
  const blocks: unknown[] = [];
  for await (const { event } of chat) if (event.case === "guardrailBlock") blocks.push(event.value);
  expect(blocks).toMatchObject([{ guardrail: "withinBudget", text: "" }]);
});

test("an agent that asks another one sees nothing of what was blocked", async () => {
  const seen: string[] = [];
  const asking = defineAgent({
    name: "asking",
    async *run(task, ctx) {
      for await (const { case: kind } of ctx.agents.capability("guarded").stream(task.content)) seen.push(kind);
      yield "never";
    },
  });
  const client = await startClient({ agents: [asking, echo] });
  expect((await failureOf(client.process("one|two|and more"))).code).toBe(Code.FailedPrecondition);
  expect(seen).toEqual([]);
});

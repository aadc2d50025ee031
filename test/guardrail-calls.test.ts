import { Code } from "@connectrpc/connect";
import { citesItsSources, guardCall } from "../src/guardrail/index.ts";
import { citation, connect, defineAgent, type Guardrail, noSecrets, Status, toolCall } from "../src/index.ts";
import { connect as connectWeb } from "../src/web/index.ts";
import { asking, echo } from "./support/agents.ts";
import { violationsOf } from "./support/guardrail-contract.ts";
import { startClient, startServer } from "./support/server.ts";

const secret = ["ghp", "_", "a1B2c3D4e5F6".repeat(3)].join("");

/** Says what it is asked to, with a source for the first sentence. */
const saying = defineAgent({
  name: "saying",
  async *run(task) {
    const [first = "", ...rest] = task.content.split("|");
    yield first;
    yield citation({ uri: "atlas", quote: first });
    for (const part of rest) yield part;
  },
});

const agents = [saying, echo, asking];

const watching = (seen: Parameters<Guardrail["check"]>[]): Guardrail => ({
  name: "watching",
  check(...all) {
    seen.push(all);
    return { outcome: "pass" };
  },
});

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );

test("an answer that passes is what it is without guardrails, also its chunks", async () => {
  const client = await startClient({ agents });
  const guarded = await client.agent("echo").process({ taskId: "one", content: "a b" }, { guardrails: [watching([])] });
  expect(guarded).toEqual(await client.agent("echo").process({ taskId: "one", content: "a b" }));
  const chunks = await collect(client.agent("echo").stream({ taskId: "one", content: "a b" }, { guardrails: [watching([])] }));
  expect(chunks).toEqual(await collect(client.agent("echo").stream({ taskId: "one", content: "a b" })));
});

test("guardrails see the whole task, also where a part of its stream is asked for", async () => {
  const client = await startClient({ agents });
  const seen: Parameters<Guardrail["check"]>[] = [];
  const task = { taskId: "part", content: "It is so.|More", fromIndex: 2 };
  const chunks = await collect(client.stream(task, { guardrails: [watching(seen)] }));
  expect(chunks.map(({ index, text }) => [index, text])).toEqual([
    [2, "More"],
    [3, ""],
  ]);
  const [[result, trace, context] = []] = seen;
  expect(result).toMatchObject({ taskId: "part", content: "It is so.More", status: Status.COMPLETED });
  expect(trace?.map((event) => event.case)).toEqual(["text", "citation", "text"]);
  expect(context).toMatchObject({ task: "It is so.|More", availableTools: [] });
});

test("a blocked answer fails the call with what is wrong, and nothing of its stream is delivered", async () => {
  const client = await startClient({ agents });
  const options = { guardrails: [citesItsSources()] };
  const thrown = await failureOf(client.process("It is so.| It is more.", options));
  expect(thrown).toMatchObject({ code: Code.FailedPrecondition });
  expect(violationsOf(thrown as Parameters<typeof violationsOf>[0])).toEqual([
    { type: "GUARDRAIL", subject: "citesItsSources", description: '"It is more." has no citation' },
  ]); // the line before has shown what it is
  const delivered: string[] = [];
  const streaming = (async () => {
    for await (const { text } of client.stream("It is so.| It is more.", options)) delivered.push(text);
  })();
  expect(await failureOf(streaming)).toMatchObject({ code: Code.FailedPrecondition });
  expect(delivered).toEqual([]);
});

test("an amended answer comes amended, in its chunks too, under the same numbers", async () => {
  const client = await startClient({ agents });
  const options = { guardrails: [noSecrets({ mode: "redact" })] };
  const content = `It is ${secret.slice(0, 20)}|${secret.slice(20)} so.|.`;
  expect((await client.process(content, options)).content).toBe("It is [GitHub token] so..");
  const chunks = await collect(client.stream(content, options));
  expect(chunks.map(({ text }) => text).join("")).toBe("It is [GitHub token] so..");
  expect(chunks.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4]);
  expect(chunks.at(-1)?.isFinal).toBe(true);
});

test("a task that waits for tools is checked as it stands, and again when it is done", async () => {
  const client = await startClient({ agents });
  const seen: Parameters<Guardrail["check"]>[] = [];
  const options = { guardrails: [watching(seen)] };
  const availableTools = [{ name: "clock" }];
  const waiting = await client.agent("asking").process({ taskId: "t", content: "UTC", availableTools }, options);
  expect(waiting).toMatchObject({ status: Status.REQUIRES_TOOL_CALL, toolCalls: [{ callId: "call-1" }] });
  const toolResults = [{ callId: "call-1", resultJson: '"ten"' }];
  expect(await client.agent("asking").process({ taskId: "t", toolResults }, options)).toMatchObject({ content: 'it is "ten"' });
  expect(seen.map(([, trace]) => trace.map((event) => event.case))).toEqual([["toolCall"], ["toolCall", "toolResult", "text"]]);
});

test("what a task fails with comes as it is, and is not checked", async () => {
  const client = await startClient();
  const seen: Parameters<Guardrail["check"]>[] = [];
  const call = client.agent("failing").process("typed", { guardrails: [watching(seen)] });
  expect(await failureOf(call)).toMatchObject({ code: Code.FailedPrecondition, rawMessage: "the calendar is read-only" });
  expect(seen).toEqual([]);
});

test("the caller's deadline and signal hold for the checks too", async () => {
  const client = await startClient({ agents });
  const leaving = new AbortController();
  const hanging: Guardrail = { name: "hanging", check: () => new Promise(() => {}) };
  expect(await failureOf(client.process("x", { guardrails: [hanging], timeoutMs: 500 }))).toMatchObject({
    rawMessage: 'guardrail "hanging": took too long to check the result',
  });
  const left: Guardrail = {
    name: "left",
    check() {
      leaving.abort();
      return new Promise(() => {});
    },
  };
  expect(await failureOf(client.process("x", { guardrails: [left], signal: leaving.signal }))).toMatchObject({
    code: Code.Canceled,
  });
});

test("guardrails of a client hold for every call that says nothing else, and conversations are refused", async () => {
  const { url } = await startServer({ agents });
  const client = connect({ url, guardrails: [citesItsSources()] });
  try {
    expect(await failureOf(client.agent("saying").process("It is so.| It is more."))).toMatchObject({
      code: Code.FailedPrecondition,
    });
    await client.agent("saying").process("It is so.| It is more.", { guardrails: [] });
    expect(() => client.converse()).toThrow(TypeError);
  } finally {
    client.close();
  }
});

test("browsers run them where they are told how to, and never leave them out", async () => {
  const { url } = await startServer({ agents });
  const options = { guardrails: [citesItsSources()] };
  const bare = connectWeb({ baseUrl: url });
  expect(await failureOf(bare.process("It is so.", options))).toBeInstanceOf(TypeError);
  expect(() => bare.stream("It is so.", options)).toThrow(TypeError);
  const guarded = connectWeb({ baseUrl: url, guard: guardCall, ...options });
  expect((await guarded.process("It is so.")).content).toBe("It is so.");
  expect(await failureOf(guarded.process("It is so.| It is more."))).toMatchObject({ code: Code.FailedPrecondition });
});

test("tool calls of a finished task are all told", async () => {
  const calling = defineAgent({
    name: "calling",
    async *run() {
      yield toolCall({ id: "own", name: "own", arguments: {} });
      yield "done";
    },
  });
  const client = await startClient({ agents: [calling] });
  const { toolCalls } = await client.process("x", { guardrails: [watching([])] });
  expect(toolCalls).toMatchObject([{ callId: "own" }]);
});

import { type Channel, ClientError, createChannel, createClient, Metadata, Status } from "nice-grpc";
import { defineAgent, type ServeOptions } from "../../src/index.ts";
import { createGate } from "../support/agents.ts";
import { startServer } from "../support/server.ts";
import { definitionOf } from "./contract.ts";

type Reply = Record<string, unknown>;

interface Options {
  readonly metadata?: Metadata;
  readonly signal?: AbortSignal;
  readonly onHeader?: (header: Metadata) => void;
  readonly onTrailer?: (trailer: Metadata) => void;
}

/** What the tests use of the client that nice-grpc makes from the contract. */
interface Stub {
  readonly ProcessTask: (request: object, options?: Options) => Promise<Reply>;
  readonly StreamResponse: (request: object, options?: Options) => AsyncIterable<Reply>;
  readonly Converse: (requests: AsyncIterable<object>, options?: Options) => AsyncIterable<Reply>;
}

const channels: Channel[] = [];

afterAll(() => {
  for (const channel of channels) channel.close();
});

async function start(serve: Partial<ServeOptions> = {}): Promise<Stub> {
  const { port } = await startServer(serve);
  const channel = createChannel(`127.0.0.1:${port}`, undefined, { "grpc.enable_http_proxy": 0 });
  channels.push(channel);
  return createClient(definitionOf("agent.v1.AgentService"), channel) as Stub; // what methods it has TypeScript has not read
}

/** What a call failed with. */
async function failure(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => Promise.reject(new Error("the call succeeded")),
    (thrown: unknown) => thrown,
  );
}

async function collect(replies: AsyncIterable<Reply>): Promise<Reply[]> {
  const all: Reply[] = [];
  for await (const reply of replies) all.push(reply);
  return all;
}

test("a unary call answers", async () => {
  const client = await start();
  expect(await client.ProcessTask({ content: "hello there" })).toMatchObject({
    content: "hello there ",
    status: "STATUS_COMPLETED",
    usage: { prompt_tokens: 3, completion_tokens: 2 },
  });
});

test("a server stream delivers every event in order", async () => {
  const client = await start();
  expect(await collect(client.StreamResponse({ content: "one two" }))).toMatchObject([
    { index: 0, text: "one " },
    { index: 1, text: "two " },
    { index: 2, usage: { prompt_tokens: 3 } },
    { index: 3, citation: { quote: "one two" } },
    { index: 4, status: "STATUS_COMPLETED", is_final: true },
  ]);
});

test("a conversation goes turn by turn while the caller goes on sending", async () => {
  const client = await start();
  let answered = () => {};
  async function* turns() {
    for (const content of ["one", "two"]) {
      const finished = new Promise<void>((resolve) => {
        answered = resolve;
      });
      yield { agent_id: "remembering", start_turn: { content } };
      await finished; // the second turn is sent only when the first is answered
    }
  }
  const texts: unknown[] = [];
  for await (const reply of client.Converse(turns())) {
    if (reply["event"] === "text") texts.push(reply["text"]);
    if (reply["event"] === "turn_finished") answered();
  }
  expect(texts).toEqual(["0 before: ", "1 before: one=0 before: "]);
});

test("an error has its code and its sentence, and the details come in the trailers", async () => {
  const client = await start();
  let trailer = Metadata();
  const onTrailer = (received: Metadata) => {
    trailer = received;
  };
  const error = await failure(client.ProcessTask({ agent_id: "nobody", content: "x" }, { onTrailer }));
  expect(error).toBeInstanceOf(ClientError);
  expect(error).toMatchObject({ code: Status.NOT_FOUND, details: expect.stringMatching(/^there is no agent "nobody"/) });
  expect(Buffer.from(trailer.get("grpc-status-details-bin") ?? []).toString()).toContain("google.rpc.ResourceInfo");
});

test("an error in the middle of a stream comes after what was said before it", async () => {
  const client = await start();
  const texts: unknown[] = [];
  const reading = (async () => {
    for await (const { text } of client.StreamResponse({ agent_id: "failing", content: "typed" })) texts.push(text);
  })();
  expect(await failure(reading)).toMatchObject({ code: Status.FAILED_PRECONDITION, details: "the calendar is read-only" });
  expect(texts).toEqual(["before "]);
});

/** nice-grpc leaves deadlines to middleware, which writes this header. */
const timeout = (value: string) => Metadata().set("grpc-timeout", value);

test("the caller's deadline is the agent's", async () => {
  const agent = defineAgent({
    name: "hasty",
    async *run(_task, { timeoutMs }) {
      yield String(timeoutMs());
    },
  });
  const client = await start({ agents: [agent] });
  const { content } = await client.ProcessTask({ content: "x" }, { metadata: timeout("25S") });
  expect(Number(content)).toBeGreaterThan(0);
  expect(Number(content)).toBeLessThanOrEqual(25_000);
});

test("the server ends a call at its deadline with DEADLINE_EXCEEDED, and its agent is stopped", async () => {
  const gate = createGate();
  const client = await start({ agents: [gate.agent] });
  const call = client.ProcessTask({ content: "x" }, { metadata: timeout("200m") });
  expect(await failure(call)).toMatchObject({ code: Status.DEADLINE_EXCEEDED });
  expect(await gate.stopped).toMatchObject({ name: "ConnectError" });
});

test("an abort ends the call at once, and its agent is stopped", async () => {
  const gate = createGate();
  const client = await start({ agents: [gate.agent] });
  const controller = new AbortController();
  const call = failure(client.ProcessTask({ content: "x" }, { signal: controller.signal }));
  await gate.running;
  controller.abort();
  expect(await call).toMatchObject({ name: "AbortError" });
  expect(await gate.stopped).toMatchObject({ name: "ConnectError" });
});

test("leaving a stream early stops its agent", async () => {
  const gate = createGate();
  const client = await start({ agents: [gate.agent] });
  for await (const { text } of client.StreamResponse({ content: "x" })) if (text === "first") break;
  expect(await gate.stopped).toMatchObject({ name: "ConnectError" });
});

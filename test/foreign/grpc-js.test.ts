import { once } from "node:events";
import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { errorDetails } from "../../src/core/index.ts";
import { defineAgent, type ServeOptions } from "../../src/index.ts";
import { createGate } from "../support/agents.ts";
import { startServer } from "../support/server.ts";
import { createStub } from "./contract.ts";

type Reply = Record<string, unknown>;
type Callback = (error: grpc.ServiceError | null, reply?: Reply) => void;
type Unary = (request: object, metadata: grpc.Metadata, options: grpc.CallOptions, callback: Callback) => grpc.ClientUnaryCall;
type ServerStream = (request: object, options?: grpc.CallOptions) => grpc.ClientReadableStream<Reply>;

/** What the tests use of the clients that grpc-js makes from the contract. */
interface Stub extends grpc.Client {
  readonly ProcessTask: Unary;
  readonly StreamResponse: ServerStream;
  readonly Converse: (options?: grpc.CallOptions) => grpc.ClientDuplexStream<object, Reply>;
  readonly Check: Unary;
  readonly Watch: ServerStream;
}

const clients: grpc.Client[] = [];

afterAll(() => {
  for (const client of clients) client.close();
});

async function start(service: string, { serve = {}, channel = {} }: { serve?: Partial<ServeOptions>; channel?: object } = {}) {
  const { port } = await startServer(serve);
  const options = { "grpc.enable_http_proxy": 0, ...channel, credentials: grpc.credentials.createInsecure() };
  const client = createStub<Stub>(service, `127.0.0.1:${port}`, options);
  clients.push(client);
  return client;
}

interface UnaryOptions {
  readonly metadata?: grpc.Metadata;
  readonly options?: grpc.CallOptions;
}

/** A unary call as a promise. */
function call(client: Stub, method: "ProcessTask" | "Check", request: object, more: UnaryOptions = {}): Promise<Reply> {
  const { metadata = new grpc.Metadata(), options = {} } = more;
  return new Promise((resolve, reject) => {
    client[method](request, metadata, options, (error, reply) => (reply === undefined ? reject(error) : resolve(reply)));
  });
}

async function collect(stream: AsyncIterable<Reply>): Promise<Reply[]> {
  const replies: Reply[] = [];
  for await (const reply of stream) replies.push(reply);
  return replies;
}

/** Reads replies up to the one that ends the turn. */
async function readTurn(replies: AsyncIterator<Reply>, isLast: (reply: Reply) => boolean): Promise<Reply[]> {
  const turn: Reply[] = [];
  for (let step = await replies.next(); step.done !== true; step = await replies.next()) {
    turn.push(step.value);
    if (isLast(step.value)) return turn;
  }
  throw new Error("the stream ended within a turn");
}

describe("grpc-js with agent.v1", () => {
  const service = "agent.v1.AgentService";

  test("a unary call answers", async () => {
    const client = await start(service);
    expect(await call(client, "ProcessTask", { content: "hello there" })).toMatchObject({
      content: "hello there ",
      status: "STATUS_COMPLETED",
      usage: { prompt_tokens: 3, completion_tokens: 2 },
      citations: [{ uri: "task:content", range: { unit: "UNIT_LINE", start: 1, end: 2 } }],
    });
  });

  test("500 calls at once on one connection all get their own answer", async () => {
    const client = await start(service);
    const contents = Array.from({ length: 500 }, (_, index) => `number-${index}`);
    const answers = await Promise.all(contents.map((content) => call(client, "ProcessTask", { content })));
    expect(answers.map((answer) => answer["content"])).toEqual(contents.map((content) => `${content} `));
  });

  test("a gzip request is read", async () => {
    const channel = { "grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip };
    const client = await start(service, { channel });
    const content = "word ".repeat(10_000);
    expect(await call(client, "ProcessTask", { content })).toMatchObject({ content: `${content} ` });
  });

  test("a server stream delivers every event in order", async () => {
    const client = await start(service);
    const chunks = await collect(client.StreamResponse({ content: "one two" }));
    expect(chunks).toMatchObject([
      { index: 0, text: "one " },
      { index: 1, text: "two " },
      { index: 2, usage: { prompt_tokens: 3 } },
      { index: 3, citation: { quote: "one two" } },
      { index: 4, status: "STATUS_COMPLETED", is_final: true },
    ]);
  });

  test("a conversation goes turn by turn", async () => {
    const client = await start(service);
    const stream = client.Converse();
    const replies = stream[Symbol.asyncIterator]();
    const ends = (reply: Reply) => reply["event"] === "turn_finished";
    stream.write({ agent_id: "remembering", start_turn: { content: "one" } });
    const first = await readTurn(replies, ends);
    stream.write({ start_turn: { content: "two" } });
    const second = await readTurn(replies, ends);
    stream.end();
    expect(first).toMatchObject([{ text: "0 before: " }, { turn_finished: { status: "STATUS_COMPLETED" } }]);
    expect(second).toMatchObject([{ text: "1 before: one=0 before: " }, { turn_finished: { status: "STATUS_COMPLETED" } }]);
    expect(await replies.next()).toMatchObject({ done: true });
  });

  test("the caller's deadline is the agent's", async () => {
    const agent = defineAgent({
      name: "hasty",
      async *run(_task, { timeoutMs }) {
        yield String(timeoutMs());
      },
    });
    const client = await start(service, { serve: { agents: [agent] } });
    const answer = await call(client, "ProcessTask", { content: "x" }, { options: { deadline: Date.now() + 25_000 } });
    expect(Number(answer["content"])).toBeGreaterThan(0);
    expect(Number(answer["content"])).toBeLessThanOrEqual(25_000);
  });

  test("a call that outlives its deadline is DEADLINE_EXCEEDED, and its agent is stopped", async () => {
    const gate = createGate();
    const client = await start(service, { serve: { agents: [gate.agent] } });
    const answer = call(client, "ProcessTask", { content: "x" }, { options: { deadline: Date.now() + 500 } });
    await expect(answer).rejects.toMatchObject({ code: grpc.status.DEADLINE_EXCEEDED });
    expect(await gate.stopped).toMatchObject({ name: "ConnectError" });
  });

  test("cancel ends the stream with CANCELLED, and stops its agent", async () => {
    const gate = createGate();
    const client = await start(service, { serve: { agents: [gate.agent] } });
    const stream = client.StreamResponse({ content: "x" });
    const failed = once(stream, "error");
    expect((await once(stream, "data"))[0]).toMatchObject({ text: "first" });
    stream.cancel();
    expect((await failed)[0]).toMatchObject({ code: grpc.status.CANCELLED });
    expect(await gate.stopped).toMatchObject({ name: "ConnectError" });
  });

  test("an unknown agent is NOT_FOUND with a ResourceInfo in grpc-status-details-bin", async () => {
    const client = await start(service);
    const error = await call(client, "ProcessTask", { agent_id: "nobody", content: "x" }).catch((thrown: unknown) => thrown);
    if (!(error instanceof Error && "metadata" in error && error.metadata instanceof grpc.Metadata)) throw error;
    expect(error).toMatchObject({ code: grpc.status.NOT_FOUND, details: expect.stringMatching(/^there is no agent "nobody"/) });
    const [bytes] = error.metadata.get("grpc-status-details-bin");
    const status = fromBinary(StatusSchema, Buffer.from(bytes ?? ""));
    expect(status).toMatchObject({ code: grpc.status.NOT_FOUND, message: expect.stringMatching(/^there is no agent/) });
    expect(status.details.map((detail) => anyUnpack(detail, errorDetails))).toMatchObject([
      { $typeName: "google.rpc.ResourceInfo", resourceType: "agent", resourceName: "nobody" },
    ]);
  });

  test("the task's metadata reaches the agent", async () => {
    const agent = defineAgent({
      name: "reading",
      async *run({ metadata }) {
        yield JSON.stringify(metadata);
      },
    });
    const client = await start(service, { serve: { agents: [agent] } });
    const answer = await call(client, "ProcessTask", { content: "x", metadata: { locale: "de-AT", tier: "gold" } });
    expect(JSON.parse(String(answer["content"]))).toEqual({ locale: "de-AT", tier: "gold" });
  });

  test("a call with metadata of its own, text and binary, answers", async () => {
    const metadata = new grpc.Metadata();
    metadata.set("x-request", "42");
    metadata.set("trace-bin", Buffer.from([0, 255, 1]));
    const client = await start(service);
    expect(await call(client, "ProcessTask", { content: "hi" }, { metadata })).toMatchObject({ content: "hi " });
  });

  test("a message over the bound is RESOURCE_EXHAUSTED, and the connection goes on", async () => {
    const client = await start(service);
    const content = "x".repeat(4 * 1024 * 1024);
    await expect(call(client, "ProcessTask", { content })).rejects.toMatchObject({ code: grpc.status.RESOURCE_EXHAUSTED });
    expect(await call(client, "ProcessTask", { content: "hi" })).toMatchObject({ content: "hi " });
  });
});

describe("grpc-js with the contract as first published", () => {
  const service = "agent.AgentService";

  test("a unary call answers", async () => {
    const client = await start(service);
    const answer = await call(client, "ProcessTask", { task_id: "f-1", content: "hello there" });
    expect(answer).toEqual({
      task_id: "f-1",
      content: "hello there ",
      tool_calls: [],
      usage: { prompt_tokens: 3, completion_tokens: 2 },
      status: "COMPLETED",
    });
  });

  test("a stream delivers the text alone, numbered on its own, and ends with is_final", async () => {
    const client = await start(service);
    expect(await collect(client.StreamResponse({ task_id: "f-2", content: "one two" }))).toEqual([
      { task_id: "f-2", text: "one ", is_final: false, index: 0 },
      { task_id: "f-2", text: "two ", is_final: false, index: 1 },
      { task_id: "f-2", text: "", is_final: true, index: 2 },
    ]);
  });

  test("a conversation goes turn by turn, each numbered from 0; a turn that fails leaves it open", async () => {
    const client = await start(service);
    const stream = client.Converse();
    const replies = stream[Symbol.asyncIterator]();
    const ends = (reply: Reply) => reply["is_final"] === true;
    stream.write({ task_id: "c-1", agent_id: "failing", content: "typed" });
    const first = await readTurn(replies, ends);
    stream.write({ task_id: "c-2", content: "typed" });
    const second = await readTurn(replies, ends);
    stream.end();
    const turn = (id: string) => [
      { task_id: id, text: "before ", is_final: false, index: 0, status: "COMPLETED" },
      { task_id: id, text: "the calendar is read-only", is_final: true, index: 1, status: "ERROR" },
    ];
    expect([first, second]).toEqual([turn("c-1"), turn("c-2")]);
    expect(await replies.next()).toMatchObject({ done: true });
  });
});

describe("grpc-js with the health service", () => {
  const service = "grpc.health.v1.Health";

  test.each(["", "agent.v1.AgentService"])("Check of %j is SERVING", async (name) => {
    const client = await start(service);
    expect(await call(client, "Check", { service: name })).toEqual({ status: "SERVING" });
  });

  test("Watch tells the state and stays open until the caller leaves", async () => {
    const client = await start(service);
    const stream = client.Watch({ service: "" });
    const failed = once(stream, "error");
    expect((await once(stream, "data"))[0]).toEqual({ status: "SERVING" });
    stream.cancel();
    expect((await failed)[0]).toMatchObject({ code: grpc.status.CANCELLED });
  });
});

import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { AgentService, type ConverseResponse, Status, type TokenChunk } from "../src/contract/index.ts";
import type { Server } from "../src/index.ts";
import { startServer } from "./support/server.ts";

type HttpVersion = "1.1" | "2";

/** Each protocol and codec on each HTTP version that carries it: gRPC needs HTTP/2's trailers. */
const wires: [name: string, httpVersion: HttpVersion, create: (baseUrl: string) => Transport][] = [
  ["gRPC", "2", (baseUrl) => createGrpcTransport({ baseUrl })],
  ["gRPC JSON", "2", (baseUrl) => createGrpcTransport({ baseUrl, useBinaryFormat: false })],
  ...(["2", "1.1"] as const).flatMap((httpVersion): typeof wires => [
    ["gRPC-Web", httpVersion, (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion })],
    ["gRPC-Web JSON", httpVersion, (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion, useBinaryFormat: false })],
    ["Connect binary", httpVersion, (baseUrl) => createConnectTransport({ baseUrl, httpVersion, useBinaryFormat: true })],
    ["Connect JSON", httpVersion, (baseUrl) => createConnectTransport({ baseUrl, httpVersion, useBinaryFormat: false })],
    ["Connect JSON, GET", httpVersion, (baseUrl) => createConnectTransport({ baseUrl, httpVersion, useHttpGet: true })],
  ]),
];

let server: Server;

beforeAll(async () => {
  server = await startServer();
});

describe.each(wires)("%s over HTTP/%s", (_name, httpVersion, create) => {
  const client = () => createClient(AgentService, create(server.url));

  test("ProcessTask answers with text, usage and citations", async () => {
    const answer = await client().processTask({ content: "hello there" });
    expect(answer).toMatchObject({
      content: "hello there ",
      status: Status.COMPLETED,
      usage: { promptTokens: 3, completionTokens: 2 },
      citations: [{ uri: "task:content", title: "The question", quote: "hello there", range: { start: 1, end: 2 } }],
    });
    expect(answer.taskId).not.toBe("");
  });

  test("StreamResponse delivers every event, numbered without gaps, the last one final", async () => {
    const chunks: TokenChunk[] = [];
    for await (const chunk of client().streamResponse({ content: "one two" })) chunks.push(chunk);
    expect(chunks.map((chunk) => chunk.index)).toEqual([0, 1, 2, 3, 4]);
    expect(chunks.map((chunk) => chunk.text).join("")).toBe("one two ");
    expect(chunks.map((chunk) => chunk.isFinal)).toEqual([false, false, false, false, true]);
    expect(chunks.at(-1)?.status).toBe(Status.COMPLETED);
  });

  test("GetTask and CancelTask describe the task", async () => {
    const { taskId } = await client().processTask({ content: "hello" });
    const { task } = await client().getTask({ taskId });
    expect(task).toMatchObject({ taskId, agentId: "echo", status: Status.COMPLETED, response: { content: "hello " } });
    expect((await client().cancelTask({ taskId })).task?.status).toBe(Status.COMPLETED);
  });

  test("GetTask carries the typed reason of a task that failed", async () => {
    const taskId = `failed-${Math.random()}`;
    await expect(client().processTask({ taskId, agentId: "failing", content: "typed" })).rejects.toThrow(/read-only/);
    const { task } = await client().getTask({ taskId });
    expect(task).toMatchObject({ status: Status.ERROR, error: { code: Code.FailedPrecondition } });
    expect(task?.response?.content).toBe("before ");
  });

  test("an error arrives with its code, its sentence and its details", async () => {
    const error = await client()
      .processTask({ content: "" })
      .then(() => undefined, ConnectError.from);
    expect(error).toMatchObject({ code: Code.InvalidArgument, rawMessage: "content is missing; say what is asked" });
    expect(error?.details).toHaveLength(1);
  });

  if (httpVersion === "1.1") {
    test("Converse is refused: a stream in both directions at once needs HTTP/2", async () => {
      const responses = client().converse((async function* () {})());
      await expect(responses[Symbol.asyncIterator]().next()).rejects.toThrow(/505|HTTP\/2|version/i);
    });
    return;
  }

  test("Converse answers turn by turn while the caller goes on sending", async () => {
    const responses: ConverseResponse[] = [];
    let answered: () => void = () => {};
    async function* turns() {
      for (const content of ["one", "two"]) {
        const finished = new Promise<void>((resolve) => {
          answered = resolve;
        });
        yield { action: { case: "startTurn" as const, value: { content } } };
        await finished; // the second turn is sent only when the first is answered
      }
    }
    for await (const response of client().converse(turns(), { timeoutMs: 2_000 })) {
      responses.push(response);
      if (response.event.case === "turnFinished") answered();
    }
    expect(responses.filter((each) => each.event.case === "turnFinished")).toHaveLength(2);
    expect(responses.map((each) => (each.event.case === "text" ? each.event.value : "")).join("")).toBe("one two ");
    expect(new Set(responses.map((each) => each.conversationId)).size).toBe(1);
  });
});

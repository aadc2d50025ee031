import { once } from "node:events";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { buffer as readAll } from "node:stream/consumers";
import { fromBinary } from "@bufbuild/protobuf";
import { TaskResponseSchema, TokenChunkSchema } from "../../src/contract/index.ts";
import { createGate } from "../support/agents.ts";
import { envelope, http2Request } from "../support/raw.ts";
import { startServer } from "../support/server.ts";
import { readEnvelopes } from "./envelopes.ts";

/** What a browser's `XMLHttpRequest` sends and gets with grpc-web's text mode (PROTOCOL-WEB.md, "Message framing"). */
interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

type Post = (url: string, method: string, body: string) => Promise<Answer>;

const pathOf = (method: string) => `/agent.v1.AgentService/${method}`;
const type = "application/grpc-web-text";

const overHttp1: Post = async (url, method, body) => {
  const headers = { "content-type": type, accept: type, "x-grpc-web": "1" };
  const request = httpRequest(url + pathOf(method), { method: "POST", headers });
  request.end(body);
  const [response] = await once(request, "response");
  return { status: response.statusCode, headers: response.headers, body: await readAll(response) };
};

const overHttp2: Post = (url, method, body) =>
  http2Request(url, { path: pathOf(method), type, headers: { accept: type, "x-grpc-web": "1" }, body });

/** `TaskRequest{content}`: field 3, length-delimited. */
const request = (content: string) => envelope(Buffer.concat([Buffer.of(0x1a, content.length), Buffer.from(content)]));

/** Base64 of each piece by itself, padded where the piece ended, as servers that stream write it. */
const decode = (body: Buffer) =>
  Buffer.concat((body.toString("latin1").match(/[A-Za-z0-9+/]+={0,2}/g) ?? []).map((text) => Buffer.from(text, "base64")));

describe.each([
  ["HTTP/1.1", overHttp1],
  ["HTTP/2", overHttp2],
])("grpc-web-text over %s", (_version, post) => {
  test("a unary call answers in base64, message and trailers", async () => {
    const { url } = await startServer();
    const { status, headers, body } = await post(url, "ProcessTask", request("hello there").toString("base64"));
    const [message, trailer] = readEnvelopes(decode(body));
    expect([status, headers["content-type"]]).toEqual([200, expect.stringMatching(/^application\/grpc-web-text/)]);
    expect(body.toString("latin1")).toMatch(/^[A-Za-z0-9+/=]+$/);
    expect(fromBinary(TaskResponseSchema, message?.data ?? Buffer.of())).toMatchObject({ content: "hello there " });
    expect(trailer).toMatchObject({ flags: 0x80, data: Buffer.from("grpc-status: 0\r\n") });
  });

  test("a stream answers in base64, event by event", async () => {
    const { url } = await startServer();
    const { body } = await post(url, "StreamResponse", request("one two").toString("base64"));
    const envelopes = readEnvelopes(decode(body));
    const chunks = envelopes.slice(0, -1).map(({ data }) => fromBinary(TokenChunkSchema, data));
    expect(chunks.map(({ text }) => text).join("")).toBe("one two ");
    expect(chunks.at(-1)?.isFinal).toBe(true);
    expect(envelopes.at(-1)?.data.toString()).toBe("grpc-status: 0\r\n");
  });

  test.each([
    ["prefix and message each padded by itself", () => [request("hello").subarray(0, 5), request("hello").subarray(5)]],
    ["every byte padded by itself", () => [...request("hello")].map((byte) => Buffer.of(byte))],
  ])("reads a request with %s", async (_what, pieces) => {
    const { url } = await startServer();
    const text = pieces()
      .map((piece) => piece.toString("base64"))
      .join("");
    const { body } = await post(url, "ProcessTask", text);
    const [message] = readEnvelopes(decode(body));
    expect(fromBinary(TaskResponseSchema, message?.data ?? Buffer.of())).toMatchObject({ content: "hello " });
  });

  test("an error tells its code and its sentence", async () => {
    const { url } = await startServer();
    const { headers, body } = await post(url, "ProcessTask", request(" ").toString("base64"));
    const trailer = readEnvelopes(decode(body)).at(-1)?.data.toString() ?? "";
    expect(headers["grpc-status"] ?? /grpc-status: (\d+)/.exec(trailer)?.[1]).toBe("3");
    expect(decodeURIComponent(String(headers["grpc-message"] ?? trailer))).toContain("content is missing");
  });

  test("what is no base64 is INVALID_ARGUMENT", async () => {
    const { url } = await startServer();
    const { headers, body } = await post(url, "ProcessTask", "AAAA*AAA");
    const trailer = readEnvelopes(decode(body)).at(-1)?.data.toString() ?? "";
    expect(headers["grpc-status"] ?? /grpc-status: (\d+)/.exec(trailer)?.[1]).toBe("3");
  });
});

test("an event arrives in base64 before the agent goes on", async () => {
  const gate = createGate();
  const { url } = await startServer({ agents: [gate.agent] });
  const sent = httpRequest(url + pathOf("StreamResponse"), { method: "POST", headers: { "content-type": type } });
  sent.end(request("x").toString("base64"));
  const [response] = await once(sent, "response");
  const [first] = await once(response, "data");
  const [chunk] = readEnvelopes(decode(first));
  expect(fromBinary(TokenChunkSchema, chunk?.data ?? Buffer.of())).toMatchObject({ text: "first" });
  gate.open();
  response.resume();
  await once(response, "end");
});

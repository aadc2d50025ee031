import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { TaskRequestSchema } from "../src/contract/index.ts";
import { connect, type Server } from "../src/index.ts";
import { envelope, http2Request, outcomeOf, type RawRequest, tcpExchange } from "./support/raw.ts";
import { startServer } from "./support/server.ts";

const service = "/agent.v1.AgentService";
const unary = `${service}/ProcessTask`;
const stream = `${service}/StreamResponse`;
const converse = `${service}/Converse`;
const good = Buffer.from(toBinary(TaskRequestSchema, create(TaskRequestSchema, { content: "hi" })));
const badUtf8 = Buffer.from([0x1a, 0x02, 0xc3, 0x28]); // content = "\xc3\x28"

let server: Server;

beforeAll(async () => {
  server = await startServer({ limits: { unaryBodyTimeoutMs: 300, headersTimeoutMs: 300 } });
});

/** After every bad request a good one must work. */
afterEach(async () => {
  const agents = connect(server.url);
  expect((await agents.process("still there")).content).toBe("still there ");
  agents.close();
});

const json = (body: unknown, more: Partial<RawRequest> = {}): RawRequest => ({
  path: unary,
  type: "application/json",
  body: typeof body === "string" ? body : JSON.stringify(body),
  ...more,
});
const proto = (body: Buffer, more: Partial<RawRequest> = {}): RawRequest => ({
  path: unary,
  type: "application/proto",
  body,
  ...more,
});
const grpc = (body: Buffer, more: Partial<RawRequest> = {}): RawRequest => ({
  path: unary,
  type: "application/grpc",
  body,
  ...more,
});
const web = (body: Buffer, more: Partial<RawRequest> = {}): RawRequest =>
  grpc(body, { type: "application/grpc-web+proto", ...more });

const fiveMiB = Buffer.alloc(5 * 1024 * 1024, 0x20);
const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
const tools = (count: number) => Array.from({ length: count }, (_, index) => ({ name: `tool-${index}` }));
const entries = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`key-${index}`, "v"]));

describe.each<[protocol: string, rows: [what: string, request: RawRequest, outcome: string | RegExp][]]>([
  [
    "Connect, unary",
    [
      ["malformed JSON", json("{content:"), "invalid_argument"],
      ["JSON of another type", json({ content: 5 }), "invalid_argument"],
      ["a JSON array", json([]), "invalid_argument"],
      ["JSON null", json("null"), "invalid_argument"],
      ["an empty JSON body", json(""), "invalid_argument"],
      ["an unknown enum value", json({ content: "x", toolResults: "none" }), "invalid_argument"],
      ["JSON nested 100,000 deep", json(`{"x":${"[".repeat(100_000)}${"]".repeat(100_000)}}`), /invalid_argument/],
      ["bad UTF-8 in JSON", json("", { body: Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x7d]) }), "invalid_argument"],
      ["bad UTF-8 in a JSON string", json("", { body: Buffer.from('{"content":"\xc3("}', "latin1") }), "invalid_argument"],
      ["bad UTF-8 in binary", proto(badUtf8), "invalid_argument"],
      ["a field number of zero", proto(Buffer.from([0x00])), "invalid_argument"],
      ["a truncated varint", proto(Buffer.from([0x1a, 0xff])), "invalid_argument"],
      ["a length beyond the end", proto(Buffer.from([0x1a, 0x7f, 0x41])), "invalid_argument"],
      ["groups nested 10,000 deep", proto(Buffer.alloc(10_000, 0x1b)), "invalid_argument"],
      ["random bytes", proto(Buffer.from("ff".repeat(64), "hex")), "invalid_argument"],
      ["a message over 4 MiB", json({ content: fiveMiB.toString() }), "resource_exhausted"],
      [
        "a message of 4 MiB compressed from 64 MiB",
        json("", { body: bomb, headers: { "content-encoding": "gzip" } }),
        "resource_exhausted",
      ],
      ["gzip that is none", json("{}", { headers: { "content-encoding": "gzip" } }), "invalid_argument"],
      [
        "gzip cut short",
        json("", { body: gzipSync("{}").subarray(0, 15), headers: { "content-encoding": "gzip" } }),
        "invalid_argument",
      ],
      ["an unknown compression", json("{}", { headers: { "content-encoding": "zstd" } }), "unimplemented"],
      [
        "a timeout that is no number",
        json({ content: "x" }, { headers: { "connect-timeout-ms": "soon" } }),
        "invalid_argument",
      ],
      ["a negative timeout", json({ content: "x" }, { headers: { "connect-timeout-ms": "-1" } }), "invalid_argument"],
      ["another content type", json("{}", { type: "text/plain" }), "http 415"],
      ["another charset", json("{}", { type: "application/json; charset=latin1" }), "http 415"],
      ["no content type", { path: unary, body: "{}" }, "http 415"],
      ["an unknown method", json("{}", { path: `${service}/Nope` }), "unimplemented"],
      ["an unknown service", json("{}", { path: "/nope.Nope/ProcessTask" }), "unimplemented"],
      ["a path that is none", json("{}", { path: "//%00/../x" }), "unimplemented"],
      ["PUT", json("{}", { method: "PUT" }), "http 405"],
      ["GET of a method with side effects", { method: "GET", path: `${unary}?message=%7B%7D&encoding=json` }, "http 405"],
      ["GET without a message", { method: "GET", path: `${service}/GetTask` }, /invalid_argument|http 415/],
      [
        "GET with a bad message",
        { method: "GET", path: `${service}/GetTask?message=%7B&encoding=json&connect=v1` },
        "invalid_argument",
      ],
      ["GET with an unknown encoding", { method: "GET", path: `${service}/GetTask?message=x&encoding=xml` }, "http 415"],
    ],
  ],
  [
    "Connect, streaming",
    [
      [
        "no message at all",
        grpc(Buffer.alloc(0), { path: stream, type: "application/connect+proto" }),
        /unimplemented|invalid_argument/,
      ],
      [
        "a truncated prefix",
        grpc(envelope(good).subarray(0, 3), { path: stream, type: "application/connect+proto" }),
        "invalid_argument",
      ],
      [
        "a truncated message",
        grpc(envelope(good).subarray(0, 7), { path: stream, type: "application/connect+proto" }),
        "invalid_argument",
      ],
      [
        "unknown flags",
        grpc(envelope(good, { flags: 0x40 }), { path: stream, type: "application/connect+proto" }),
        /invalid_argument|ok/,
      ],
      ["malformed JSON", grpc(envelope("{"), { path: stream, type: "application/connect+json" }), "invalid_argument"],
      [
        "a compressed message without an encoding",
        grpc(envelope(good, { flags: 1 }), { path: stream, type: "application/connect+proto" }),
        /internal|invalid_argument/,
      ],
      ["an empty action", grpc(envelope(""), { path: converse, type: "application/connect+proto" }), "invalid_argument"],
    ],
  ],
  [
    "gRPC",
    [
      ["no message at all", grpc(Buffer.alloc(0)), /grpc (12|3)/],
      ["two messages", grpc(Buffer.concat([envelope(good), envelope(good)])), /grpc (12|3)/],
      ["a truncated prefix", grpc(envelope(good).subarray(0, 4)), "grpc 3"],
      ["a truncated message", grpc(envelope(good).subarray(0, 8)), "grpc 3"],
      ["bytes after the message", grpc(Buffer.concat([envelope(good), Buffer.from([0])])), "grpc 3"],
      ["a length of 4 GiB", grpc(envelope(good, { length: 0xffff_ffff })), "grpc 8"],
      ["a length over 4 MiB", grpc(envelope(fiveMiB)), "grpc 8"],
      ["bad UTF-8", grpc(envelope(badUtf8)), "grpc 3"],
      ["a message that does not decode", grpc(envelope(Buffer.from([0x1a, 0xff]))), "grpc 3"],
      ["a compressed message without an encoding", grpc(envelope(good, { flags: 1 })), /grpc (13|3)/],
      ["an unknown encoding", grpc(envelope(good), { headers: { "grpc-encoding": "zstd" } }), "grpc 12"],
      ["gzip that is none", grpc(envelope("no", { flags: 1 }), { headers: { "grpc-encoding": "gzip" } }), "grpc 3"],
      ["gzip of 64 MiB", grpc(envelope(bomb, { flags: 1 }), { headers: { "grpc-encoding": "gzip" } }), "grpc 8"],
      ["a malformed timeout", grpc(envelope(good), { headers: { "grpc-timeout": "soon" } }), "grpc 3"],
      ["a timeout of nine digits", grpc(envelope(good), { headers: { "grpc-timeout": "999999999S" } }), "grpc 3"],
      ["an unknown method", grpc(envelope(good), { path: `${service}/Nope` }), "grpc 12"],
      ["an unknown service", grpc(envelope(good), { path: "/nope.Nope/Nope" }), "grpc 12"],
      ["an unknown codec", grpc(envelope(good), { type: "application/grpc+thrift" }), /grpc (3|12)|http 415/],
      ["a stream cut short", grpc(envelope(good).subarray(0, 8), { path: stream }), "grpc 3"],
      ["a conversation cut short", grpc(envelope(good).subarray(0, 8), { path: converse }), "grpc 3"],
      ["a conversation without an action", grpc(envelope(""), { path: converse }), "grpc 3"],
    ],
  ],
  [
    "gRPC-Web",
    [
      ["no message at all", web(Buffer.alloc(0)), /grpc (12|3)/],
      ["a truncated message", web(envelope(good).subarray(0, 8)), "grpc 3"],
      ["a trailer in place of a message", web(envelope("grpc-status: 0\r\n", { flags: 0x80 })), /grpc (12|3)/],
      ["a length over 4 MiB", web(envelope(fiveMiB)), "grpc 8"],
      ["bad UTF-8", web(envelope(badUtf8)), "grpc 3"],
      ["an unknown method", web(envelope(good), { path: `${service}/Nope` }), "grpc 12"],
    ],
  ],
  [
    "a task request",
    [
      ["without content", json({}), "invalid_argument"],
      ["with blank content", json({ content: " \n" }), "invalid_argument"],
      ["with a long task_id", json({ content: "x", taskId: "i".repeat(129) }), "invalid_argument"],
      ["with spaces in task_id", json({ content: "x", taskId: "a b" }), "invalid_argument"],
      ["with a line break in task_id", json({ content: "x", taskId: "a\nb" }), "invalid_argument"],
      ["with a long agent_id", json({ content: "x", agentId: "i".repeat(129) }), "invalid_argument"],
      ["for an unknown agent", json({ content: "x", agentId: "nobody" }), "not_found"],
      ["for an agent called constructor", json({ content: "x", agentId: "constructor" }), "not_found"],
      ["with a long conversation_id", json({ content: "x", conversationId: "i".repeat(129) }), "invalid_argument"],
      ["with 65 metadata entries", json({ content: "x", metadata: entries(65) }), "invalid_argument"],
      ["with a long metadata key", json({ content: "x", metadata: { ["k".repeat(129)]: "v" } }), "invalid_argument"],
      ["with an empty metadata key", json({ content: "x", metadata: { "": "v" } }), "invalid_argument"],
      ["with a long metadata value", json({ content: "x", metadata: { k: "v".repeat(4_097) } }), "invalid_argument"],
      ["with __proto__ for a metadata key", json('{"content":"x","metadata":{"__proto__":"v"}}'), "invalid_argument"],
      ["with 129 tools", json({ content: "x", availableTools: tools(129) }), "invalid_argument"],
      ["with a tool without a name", json({ content: "x", availableTools: [{}] }), "invalid_argument"],
      [
        "with two tools of one name",
        json({ content: "x", availableTools: [{ name: "t" }, { name: "t" }] }),
        "invalid_argument",
      ],
      [
        "with a schema that is no JSON",
        json({ content: "x", availableTools: [{ name: "t", parametersJsonSchema: "{" }] }),
        "invalid_argument",
      ],
      [
        "with a schema that is no object",
        json({ content: "x", availableTools: [{ name: "t", parametersJsonSchema: "[]" }] }),
        "invalid_argument",
      ],
      ["with a negative from_index", json({ content: "x", fromIndex: -1 }), "invalid_argument"],
      ["with tool results but no task", json({ toolResults: [{ callId: "c", resultJson: "1" }] }), "invalid_argument"],
      [
        "with tool results of an unknown task",
        json({ taskId: "none", toolResults: [{ callId: "c", resultJson: "1" }] }),
        "not_found",
      ],
      ["for an unknown task", json({ taskId: "none" }, { path: `${service}/GetTask` }), "not_found"],
      ["for no task", json({}, { path: `${service}/GetTask` }), "invalid_argument"],
      ["that cancels an unknown task", json({ taskId: "none" }, { path: `${service}/CancelTask` }), "not_found"],
    ],
  ],
])("%s", (_protocol, rows) => {
  test.each(rows)("%s", async (_what, request, outcome) => {
    expect(outcomeOf(await http2Request(server.url, request))).toMatch(
      typeof outcome === "string" ? new RegExp(`^${outcome}$`) : outcome,
    );
  });
});

const head = (...lines: string[]) => `${lines.join("\r\n")}\r\n\r\n`;

describe("HTTP/1.1", () => {
  const many = Array.from({ length: 101 }, (_, index) => `x-${index}: v`);

  test.each<[what: string, bytes: string | Buffer, answer: RegExp]>([
    ["no HTTP at all", "hello\r\n\r\n", /^HTTP\/1\.1 400/],
    ["a version that is none", head("GET / HTTP/9.9", "host: x"), /^HTTP\/1\.1 (400|505)/],
    ["no host", head("GET /agents.json HTTP/1.1", "connection: close"), /^HTTP\/1\.1 400/],
    [
      "HTTP/1.0 without a host",
      head("POST /agent.v1.AgentService/ProcessTask HTTP/1.0", "content-type: application/json"),
      /^HTTP\/1\.1 [45]00/,
    ],
    ["headers over 16 KiB", head("GET / HTTP/1.1", "host: x", `x: ${"v".repeat(17_000)}`), /^HTTP\/1\.1 431/],
    ["more than 100 headers", head("GET / HTTP/1.1", "host: x", "connection: close", ...many), /^HTTP\/1\.1 431/],
    ["a path over 16 KiB", head(`GET /${"p".repeat(17_000)} HTTP/1.1`, "host: x"), /^HTTP\/1\.1 431/],
    ["a control character in a header", head("GET / HTTP/1.1", "host: x", "x: \u0001"), /^HTTP\/1\.1 400/],
    ["two lengths", head("POST / HTTP/1.1", "host: x", "content-length: 1", "content-length: 2"), /^HTTP\/1\.1 400/],
    [
      "length and chunks",
      head("POST / HTTP/1.1", "host: x", "content-length: 1", "transfer-encoding: chunked"),
      /^HTTP\/1\.1 400/,
    ],
    ["a negative length", head("POST / HTTP/1.1", "host: x", "content-length: -1"), /^HTTP\/1\.1 400/],
    [
      "a chunk size that is none",
      `${head("POST /agent.v1.AgentService/ProcessTask HTTP/1.1", "host: x", "content-type: application/json", "transfer-encoding: chunked")}zz\r\n`,
      /^HTTP\/1\.1 400|^$/,
    ],
    ["CONNECT", head("CONNECT x:1 HTTP/1.1", "host: x"), /^$/],
    [
      "an upgrade to what is not served",
      head("GET /agents.json HTTP/1.1", "host: x", "connection: close, upgrade", "upgrade: websocket"),
      /^HTTP\/1\.1 200/,
    ],
    ["OPTIONS without an origin", head("OPTIONS / HTTP/1.1", "host: x", "connection: close"), /^HTTP\/1\.1 404/],
    [
      "gRPC, which needs HTTP/2",
      Buffer.concat([
        Buffer.from(
          head(
            "POST /agent.v1.AgentService/ProcessTask HTTP/1.1",
            "host: x",
            "content-type: application/grpc",
            "content-length: 9",
            "connection: close",
          ),
        ),
        envelope(good),
      ]),
      /^HTTP\/1\.1 (505|200)/,
    ],
    [
      "a message over 4 MiB",
      Buffer.concat([
        Buffer.from(
          head(
            "POST /agent.v1.AgentService/ProcessTask HTTP/1.1",
            "host: x",
            "content-type: application/json",
            `content-length: ${fiveMiB.length}`,
          ),
        ),
        fiveMiB,
      ]),
      /^HTTP\/1\.1 429.*"resource_exhausted"/s,
    ],
    [
      "a body that does not come",
      `${head("POST /agent.v1.AgentService/ProcessTask HTTP/1.1", "host: x", "content-type: application/json", "content-length: 9")}`,
      /^HTTP\/1\.1 4|^$/,
    ],
    [
      "a body that ends early",
      `${head("POST /agent.v1.AgentService/ProcessTask HTTP/1.1", "host: x", "content-type: application/json", "content-length: 100")}{`,
      /^HTTP\/1\.1 4|^$/,
    ],
  ])("%s", async (_what, bytes, answer) => {
    expect(await tcpExchange(server.port, bytes)).toMatch(answer);
  });
});

describe("HTTP/1.1, with the time that requests usually have", () => {
  let patient: Server;

  beforeAll(async () => {
    patient = await startServer();
  });

  test.each([
    [
      "is refused before its body is read",
      "POST /agent.v1.AgentService/ProcessTask HTTP/1.1",
      "content-encoding: zstd",
      "content-type: application/json",
    ],
    ["is too large", "POST /agent.v1.AgentService/ProcessTask HTTP/1.1", "content-type: application/json"],
    ["calls no method", "POST /agent.v1.AgentService/Nope HTTP/1.1", "content-type: application/json"],
    ["has another content type", "DELETE /agent.v1.AgentService/ProcessTask HTTP/1.1", "content-type: text/plain"],
  ])("a connection goes on after a request that %s", async (_what, ...lines) => {
    const first = Buffer.concat([Buffer.from(head(...lines, "host: x", `content-length: ${fiveMiB.length}`)), fiveMiB]);
    const second = `${head("POST /agent.v1.AgentService/ProcessTask HTTP/1.1", "host: x", "content-type: application/json", "content-length: 18", "connection: close")}{"content":"next"}`;
    const answers = await tcpExchange(patient.port, Buffer.concat([first, Buffer.from(second)]));
    expect(answers).toMatch(/^HTTP\/1\.1 [45][\s\S]*HTTP\/1\.1 200 OK[\s\S]*"content":"next "/);
  });
});

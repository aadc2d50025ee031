import { once } from "node:events";
import { createServer as createHttp2Server, type OutgoingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { createServer as createTcpServer, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import { type CallOptions, type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { type ClosableTransport, createTransport, type TransportOptions } from "../src/wire/index.ts";
import { createHttp2Connection } from "../src/wire/node/http2-client.ts";
import { frame } from "./support/frames.ts";
import { Kinds } from "./support/kinds.ts";
import { listen } from "./support/process.ts";
import { envelope } from "./support/raw.ts";
import { startKinds } from "./support/wire.ts";

const kibibyte = 1024;
const maxMessageBytes = 64 * kibibyte;

const message = (value: string) => Buffer.from(toBinary(StringValueSchema, create(StringValueSchema, { value })));
const good = envelope(message("hello"));

const unhandled: unknown[] = [];
const note = (reason: unknown) => void unhandled.push(reason);
const transports = new Set<ClosableTransport>();

beforeAll(() => {
  process.on("unhandledRejection", note);
});
afterEach(async () => {
  await turn(); // rejections are reported after the turn they were made in
  expect(unhandled.splice(0)).toEqual([]);
});
afterAll(() => {
  for (const transport of transports) transport.close();
  process.off("unhandledRejection", note);
});

function clientOf(url: string, options: Partial<TransportOptions> = {}): Client<typeof Kinds> {
  const transport = createTransport({ baseUrl: url, maxMessageBytes, ...options });
  transports.add(transport);
  return createClient(Kinds, transport);
}

/** A call of a kind, and how it came out. */
type Calling = (client: Client<typeof Kinds>, options?: CallOptions) => Promise<ConnectError | "OK">;

const unary: Calling = (client, options) => outcome(() => client.unary({ value: "x" }, options));
const server: Calling = (client, options) =>
  outcome(async () => {
    for await (const _ of client.server({ value: "x" }, options));
  });

/** @throws what is no ConnectError. */
async function outcome(work: () => Promise<unknown>): Promise<ConnectError | "OK"> {
  try {
    await work();
    return "OK";
  } catch (thrown) {
    if (thrown instanceof ConnectError) return thrown;
    throw thrown;
  }
}

const kinds: [kind: string, call: Calling][] = [
  ["a unary call", unary],
  ["a stream", server],
];

/** What an answer is made of. Without `trailers` it ends with its body. */
interface Answer {
  readonly head?: OutgoingHttpHeaders;
  readonly body?: Buffer | string;
  readonly trailers?: OutgoingHttpHeaders;
}

/** A server that does to every request what it is told to. */
async function misbehaving(act: (stream: ServerHttp2Stream) => void) {
  const requests: ServerHttp2Stream[] = [];
  let connections = 0;
  const http2 = createHttp2Server();
  http2.on("sessionError", () => {});
  http2.on("session", () => connections++);
  http2.on("stream", (stream) => {
    stream.on("error", () => {}); // the client may reset it
    requests.push(stream);
    act(stream);
  });
  return { url: `http://${await listen(http2)}`, requests, connections: () => connections };
}

function answer(type: string, { head = {}, body, trailers }: Answer) {
  return (stream: ServerHttp2Stream): void => {
    const headers = { ":status": 200, "content-type": type, ...head };
    stream.respond(Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined)), {
      waitForTrailers: trailers !== undefined,
    });
    if (trailers !== undefined) stream.on("wantTrailers", () => stream.sendTrailers(trailers));
    stream.end(body);
  };
}

const ok = { "grpc-status": "0" };
const status = (code: number | string, more: OutgoingHttpHeaders = {}) => ({ "grpc-status": String(code), ...more });
const huge = Buffer.alloc(1024 * kibibyte);

type Rows = [what: string, code: Code | readonly Code[], answer: Answer][];

/** What is wrong with the bytes of a message, in every protocol that has envelopes. */
const wrongEnvelopes: Rows = [
  ["cut short in its prefix", Code.Internal, { body: good.subarray(0, 3) }],
  ["cut short after its prefix", Code.Internal, { body: good.subarray(0, 5) }],
  ["cut short", Code.Internal, { body: good.subarray(0, 9) }],
  ["with an unknown flag", Code.Internal, { body: envelope(message("x"), { flags: 0x40 }) }],
  ["that does not decode", Code.Internal, { body: envelope(Buffer.from([0x0a, 0xff])) }],
  ["in bad UTF-8", Code.Internal, { body: envelope(Buffer.from([0x0a, 2, 0xc3, 0x28])) }],
  ["over the limit", Code.ResourceExhausted, { body: envelope(message("x".repeat(maxMessageBytes))) }],
  ["that is announced over the limit", Code.ResourceExhausted, { body: envelope("", { length: 0xffff_ffff }) }],
  ["compressed, and no header says how", Code.Internal, { body: envelope(gzipSync(message("x")), { flags: 1 }) }],
];

/** And with a compression that the head names. */
const wrongCompression = (encoding: string): Rows => [
  ["that is no gzip", Code.Internal, { head: { [encoding]: "gzip" }, body: envelope("no", { flags: 1 }) }],
  [
    "of 1 MiB in a small gzip",
    Code.ResourceExhausted,
    { head: { [encoding]: "gzip" }, body: envelope(gzipSync(huge), { flags: 1 }) },
  ],
  [
    "of 1 MiB in a small brotli",
    Code.ResourceExhausted,
    { head: { [encoding]: "br" }, body: envelope(brotliCompressSync(huge), { flags: 1 }) },
  ],
  ["with a compression that was not offered", Code.Internal, { head: { [encoding]: "zstd" }, body: good }],
];

const wrongHeads: Rows = [
  ["no content type", Code.Unknown, { head: { "content-type": undefined }, body: good }],
  ["HTML", Code.Unknown, { head: { "content-type": "text/html" }, body: "<h1>Welcome</h1>" }],
  ["HTTP 302", Code.Unknown, { head: { ":status": 302, location: "/login" } }],
  ["HTTP 401", Code.Unauthenticated, { head: { ":status": 401 } }],
  ["HTTP 404", Code.Unimplemented, { head: { ":status": 404, "content-type": "text/plain" }, body: "no such page" }],
  ["HTTP 503", Code.Unavailable, { head: { ":status": 503, "content-type": "text/plain" }, body: "busy" }],
  ["HTTP 599", Code.Unknown, { head: { ":status": 599 } }],
];

/** Runs the rows with each kind of call; the server then goes on to serve the same client. */
function describeRows(title: string, type: string, { rows, options, calls = kinds }: RowsOptions): void {
  describe.each(calls)(`${title}: %s that is answered with`, (_kind, call) => {
    test.each(rows)("%s ends with an error", async (_what, code, given) => {
      const { url } = await misbehaving(answer(type, given));
      const client = clientOf(url, options);
      for (let again = 0; again < 2; again++) {
        const error = await call(client);
        expect([code].flat()).toContain(error === "OK" ? error : error.code);
      }
    });
  });
}

interface RowsOptions {
  readonly rows: Rows;
  readonly options: Partial<TransportOptions>;
  readonly calls?: typeof kinds;
}

const a = (rows: Rows): Rows => rows.map(([what, ...rest]) => [`a message ${what}`, ...rest]);

describeRows("gRPC", "application/grpc+proto", {
  options: {},
  rows: [
    ...wrongHeads,
    [
      "JSON that was not asked for",
      Code.Internal,
      { head: { "content-type": "application/grpc+json" }, body: good, trailers: ok },
    ],
    ...a([...wrongEnvelopes, ...wrongCompression("grpc-encoding")]).map(([what, code, given]): Rows[0] => [
      what,
      code,
      { ...given, trailers: ok },
    ]),
    ["no trailers", Code.Internal, { body: good }],
    ["no body and no status", Code.Internal, {}],
    ["trailers without a status", Code.Internal, { body: good, trailers: { "x-more": "1" } }],
    ["a status in the head of an answer with a body", Code.Internal, { head: ok, body: good }],
    ...["x", "", "-1", "17", "00", "0x0", "1e0", "4294967296", " "].map((wrong): Rows[0] => [
      `grpc-status ${JSON.stringify(wrong)}`,
      Code.Internal,
      { body: good, trailers: status(wrong) },
    ]),
    ["two statuses", Code.Internal, { body: good, trailers: { "grpc-status": ["0", "0"] } }],
    ["an error after a good message", Code.Aborted, { body: good, trailers: status(10) }],
    ["an error in its head", Code.NotFound, { head: status(5) }],
    ...["!", "AAA", "/////w==", Buffer.from([0x08, 99]).toString("base64"), Buffer.from([0x08, 0]).toString("base64")].map(
      (wrong): Rows[0] => [
        `grpc-status-details-bin ${wrong}`,
        Code.NotFound,
        { body: good, trailers: status(5, { "grpc-status-details-bin": wrong }) },
      ],
    ),
  ],
});

describeRows("gRPC", "application/grpc+proto", {
  options: {},
  calls: kinds.slice(0, 1),
  rows: [
    ["no message and OK", Code.Unimplemented, { trailers: ok }],
    ["OK in the head alone", Code.Unimplemented, { head: ok }],
    ["two messages and OK", Code.Unimplemented, { body: Buffer.concat([good, good]), trailers: ok }],
  ],
});

test.each([
  ["%", "%"],
  ["%zz", "%zz"],
  ["50%", "50%"],
  ["%e4%b8", "%e4%b8"],
  ["a%20b", "a b"],
  ["%E4%B8%AD", "中"],
])("gRPC: the message %j is shown, whatever its encoding", async (given, shown) => {
  const { url } = await misbehaving(answer("application/grpc", { trailers: status(5, { "grpc-message": given }) }));
  expect(await unary(clientOf(url))).toMatchObject({ code: Code.NotFound, rawMessage: shown });
});

const webEnd = (block: string) => envelope(block, { flags: 0x80 });
const webOk = webEnd("grpc-status: 0\r\n");
const joined = (...parts: Buffer[]) => Buffer.concat(parts);

describeRows("gRPC-Web", "application/grpc-web+proto", {
  options: { protocol: "grpc-web" },
  rows: [
    ...wrongHeads,
    ["base64 that was not asked for", Code.Unknown, { head: { "content-type": "application/grpc-web-text" }, body: good }],
    ...a(wrongEnvelopes),
    ...a(wrongCompression("grpc-encoding")).map(([what, code, { head, body = "" }]): Rows[0] => [
      what,
      code,
      { ...(head && { head }), body: joined(Buffer.from(body), webOk) },
    ]),
    ["no trailers", Code.Internal, { body: good }],
    ["nothing at all", Code.Internal, {}],
    ["its status in HTTP's own trailers", Code.Internal, { body: good, trailers: ok }],
    ["trailers cut short", Code.Internal, { body: joined(good, webOk).subarray(0, -3) }],
    ["trailers without a status", Code.Internal, { body: joined(good, webEnd("x-more: 1\r\n")) }],
    ["trailers that are none", Code.Internal, { body: joined(good, webEnd("\u0000\n:::\r\n\r\n")) }],
    ["two statuses", Code.Internal, { body: joined(good, webEnd("grpc-status: 0\r\ngrpc-status: 13\r\n")) }],
    ["grpc-status x", Code.Internal, { body: joined(good, webEnd("grpc-status: x\r\n")) }],
    ["grpc-message %", Code.NotFound, { body: joined(good, webEnd("grpc-status: 5\r\ngrpc-message: %\r\n")) }],
    ["a message after the trailers", Code.Internal, { body: joined(webOk, good) }],
    ["trailers after the trailers", Code.Internal, { body: joined(good, webOk, webOk) }],
    ["bytes after the trailers", Code.Internal, { body: joined(good, webOk, Buffer.from([0])) }],
    ["compressed trailers that no header explains", Code.Internal, { body: joined(good, envelope("x", { flags: 0x81 })) }],
  ],
});

const connectEnd = (text: string) => envelope(text, { flags: 2 });

describeRows("Connect", "application/connect+proto", {
  options: { protocol: "connect" },
  calls: kinds.slice(1),
  rows: [
    ...wrongHeads,
    ["a unary answer", Code.Internal, { head: { "content-type": "application/proto" }, body: message("x") }],
    ...a([...wrongEnvelopes, ...wrongCompression("connect-content-encoding")]),
    ["no end", Code.Internal, { body: good }],
    ["nothing at all", Code.Internal, {}],
    ["an end cut short", Code.Internal, { body: joined(good, connectEnd("{}")).subarray(0, -1) }],
    ["an end that is no JSON", Code.Unknown, { body: joined(good, connectEnd("{")) }],
    ["an end that is no object", Code.Unknown, { body: joined(good, connectEnd("[]")) }],
    ["an empty end", Code.Unknown, { body: joined(good, connectEnd("")) }],
    ["an error that is no object", Code.Unknown, { body: connectEnd('{"error":"no"}') }],
    ["an error without a code", Code.Unknown, { body: connectEnd('{"error":{}}') }],
    ["an error with details that are none", Code.Unknown, { body: connectEnd('{"error":{"code":"aborted","details":[1]}}') }],
    ["metadata that is none", Code.Unknown, { body: connectEnd('{"metadata":{"a":"b"}}') }],
    ["metadata that HTTP cannot hold", Code.Unknown, { body: connectEnd('{"metadata":{"a b":["\\n"]}}') }],
    ["a message after the end", Code.Internal, { body: joined(connectEnd("{}"), good) }],
    ["a compressed end that no header explains", Code.Internal, { body: joined(good, envelope("x", { flags: 3 })) }],
  ],
});

const json = (code: number, text: string): Answer => ({
  head: { ":status": code, "content-type": "application/json" },
  body: text,
});

describeRows("Connect", "application/proto", {
  options: { protocol: "connect" },
  calls: kinds.slice(0, 1),
  rows: [
    ...wrongHeads,
    ["JSON that was not asked for", Code.Internal, json(200, "{}")],
    ["a message that does not decode", Code.Internal, { body: Buffer.from([0x0a, 0xff]) }],
    ["a message over the limit", Code.ResourceExhausted, { body: message("x".repeat(maxMessageBytes)) }],
    ["a message that is no gzip", Code.Internal, { head: { "content-encoding": "gzip" }, body: "no" }],
    ["1 MiB in a small gzip", Code.ResourceExhausted, { head: { "content-encoding": "gzip" }, body: gzipSync(huge) }],
    ["a compression that was not offered", Code.Internal, { head: { "content-encoding": "zstd" }, body: message("x") }],
    ["an error that is no JSON", Code.Unavailable, json(503, "{")],
    ["an error that is no object", Code.Unavailable, json(503, "[]")],
    ["an error that is empty", Code.Unavailable, json(503, "")],
    ["an error with a code that is none", Code.Unavailable, json(503, '{"code":"nope"}')],
    ["an error over the limit", Code.ResourceExhausted, json(503, " ".repeat(maxMessageBytes + 1))],
    [
      "an error in a small gzip of 1 MiB",
      Code.ResourceExhausted,
      {
        ...json(503, ""),
        head: { ":status": 503, "content-type": "application/json", "content-encoding": "gzip" },
        body: gzipSync(huge),
      },
    ],
  ],
});

/** HTTP/2's error codes and what they mean to a call (PROTOCOL-HTTP2.md, "HTTP2 Transport Mapping, Errors"). */
const resets: [name: string, http2: number, code: Code][] = [
  ["NO_ERROR", 0, Code.Internal],
  ["PROTOCOL_ERROR", 1, Code.Internal],
  ["INTERNAL_ERROR", 2, Code.Internal],
  ["FLOW_CONTROL_ERROR", 3, Code.Internal],
  ["SETTINGS_TIMEOUT", 4, Code.Internal],
  ["STREAM_CLOSED", 5, Code.Internal],
  ["FRAME_SIZE_ERROR", 6, Code.Internal],
  ["REFUSED_STREAM", 7, Code.Unavailable],
  ["CANCEL", 8, Code.Canceled],
  ["COMPRESSION_ERROR", 9, Code.Internal],
  ["CONNECT_ERROR", 10, Code.Internal],
  ["ENHANCE_YOUR_CALM", 11, Code.ResourceExhausted],
  ["INADEQUATE_SECURITY", 12, Code.PermissionDenied],
  ["HTTP_1_1_REQUIRED", 13, Code.Internal],
  ["a code that nobody knows", 99, Code.Internal],
];

/** Resets the stream and nothing else: Node's own `close` ends the answer first. */
function reset(stream: ServerHttp2Stream, code: number): void {
  stream.end = () => stream;
  stream.close(code);
}

/** How far an answer gets before it is broken off. */
const phases: [when: string, begin: (stream: ServerHttp2Stream, type: string) => Promise<void> | void][] = [
  ["before its head", () => {}],
  ["after its head", (stream, type) => begun(stream, type)],
  ["in the middle of its message", (stream, type) => begun(stream, type, good.subarray(0, 8))],
  ["after its message", (stream, type) => begun(stream, type, good)],
];

/** Settles when the bytes are sent. */
function begun(stream: ServerHttp2Stream, type: string, body?: Buffer): Promise<void> {
  stream.respond({ ":status": 200, "content-type": type }, { waitForTrailers: true });
  return new Promise((resolve) =>
    body === undefined ? stream.session?.ping(() => resolve()) : stream.write(body, () => resolve()),
  );
}

const grpcType = "application/grpc";

describe.each(resets)("a reset with %s (%d)", (_name, http2, code) => {
  describe.each(kinds)("of %s", (_kind, call) => {
    test.each(phases)("%s", async (_when, begin) => {
      const { url, requests } = await misbehaving(async (stream) => {
        await begin(stream, grpcType);
        reset(stream, http2);
      });
      expect(await call(clientOf(url))).toMatchObject({ code });
      expect(requests).toHaveLength(http2 === 7 && requests[0]?.headersSent === false ? 2 : 1); // what was refused is sent once more
    });
  });
});

test.each(resets)(
  "a reset with %s (%d) in the middle of a Connect message never passes for its end",
  async (_name, http2, code) => {
    const { url } = await misbehaving(async (stream) => {
      await begun(stream, "application/proto", message("hello"));
      reset(stream, http2);
    });
    expect(await unary(clientOf(url, { protocol: "connect" }))).toMatchObject({ code });
  },
);

test.each<[what: string, head: OutgoingHttpHeaders | undefined]>([
  ["before it answers", undefined],
  ["after it has begun to answer", {}],
  ["after its whole answer", ok],
])("a server that reads nothing of a flood and resets it without an error, %s, ends the call", async (_what, head) => {
  const { url } = await misbehaving((stream) => {
    const headers = { ":status": 200, "content-type": grpcType, ...head };
    if (head !== undefined) stream.respond(headers, { endStream: head === ok });
    stream.session?.ping(() => reset(stream, 0));
  });
  const large = { value: "x".repeat(60 * kibibyte) };
  async function* flood() {
    for (;;) yield large;
  }
  const error = await outcome(async () => {
    for await (const _ of clientOf(url).bidi(flood()));
  });
  expect(error === "OK" ? undefined : error.code).toBe(head === ok ? undefined : Code.Internal);
});

test("a server that asks for signs of life without end, and reads no answer, loses its connection", async () => {
  const pings = Buffer.concat(Array.from({ length: 4_000 }, () => frame("PING", { payload: "01234567" })));
  const server = createTcpServer((socket) => {
    socket.on("error", () => {}); // it is broken off
    socket.pause();
    socket.write(frame("SETTINGS"));
    const flood = () => {
      while (!socket.destroyed && socket.write(pings));
    };
    socket.on("drain", flood);
    flood();
  });
  const error = await unary(clientOf(`http://${await listen(server)}`));
  expect(error).toMatchObject({ code: Code.Unavailable });
});

test.each([false, true])(
  "an exchange is told when it is over, though its last bytes were never taken (answered: %s)",
  async (whole) => {
    const { url } = await misbehaving((stream) => {
      stream.respond({ ":status": 200, "content-type": grpcType }, { endStream: whole });
      stream.session?.ping(() => reset(stream, 0));
    });
    const connection = createHttp2Connection({
      ...{
        origin: url,
        scheme: "http",
        authority: new URL(url).host,
        tls: {},
        connectTimeoutMs: 1_000,
        maxHeaderBytes: 16 * kibibyte,
      },
      ...{
        keepaliveMs: undefined,
        keepaliveTimeoutMs: 1_000,
        streamWindowBytes: maxMessageBytes,
        connectionWindowBytes: maxMessageBytes,
      },
    });
    const how = await new Promise((resolve) => {
      const sink = { head: () => {}, data: () => {}, end: () => {}, drained: () => {}, closed: resolve };
      const exchange = connection.open({ method: "POST", path: "/", headers: [] }, sink);
      exchange.write(Buffer.alloc(1024 * kibibyte));
      exchange.end();
    });
    expect(how).toEqual(whole ? { how: "done" } : { how: "reset", code: 0 });
    connection.close();
  },
);

describe.each(kinds)("a connection that breaks under %s", (_kind, call) => {
  test.each(phases)("%s is UNAVAILABLE, and the next call has a new one", async (_when, begin) => {
    let broken = false;
    const { url } = await misbehaving(async (stream) => {
      if (broken) return answer(grpcType, { body: good, trailers: ok })(stream);
      broken = true;
      await begin(stream, grpcType);
      stream.session?.destroy();
    });
    const client = clientOf(url);
    expect(await call(client)).toMatchObject({ code: Code.Unavailable });
    expect(await call(client)).toBe("OK");
  });

  test.each(phases)("by GOAWAY with an error, %s, is UNAVAILABLE", async (_when, begin) => {
    const { url } = await misbehaving(async (stream) => {
      await begin(stream, grpcType);
      stream.session?.goaway(2);
    });
    expect(await call(clientOf(url))).toMatchObject({ code: Code.Unavailable });
  });
});

describe("GOAWAY", () => {
  test("in the middle of a call lets it come to its end, and the next has another connection", async () => {
    const { url, connections } = await misbehaving(async (stream) => {
      await begun(stream, grpcType, good);
      stream.session?.goaway(0);
      stream.session?.ping(() => {
        stream.on("wantTrailers", () => stream.sendTrailers(ok));
        stream.end();
      });
    });
    const client = clientOf(url);
    expect([await unary(client), await unary(client)]).toEqual(["OK", "OK"]);
    expect(connections()).toBe(2);
  });

  test("below a call, which was not begun then, has it sent once more", async () => {
    const fine = answer(grpcType, { body: good, trailers: ok });
    const { url, requests, connections } = await misbehaving((stream) => {
      if (stream.id === 3) stream.session?.goaway(0, 1);
      else fine(stream);
    });
    const client = clientOf(url);
    expect([await unary(client), await unary(client)]).toEqual(["OK", "OK"]);
    expect(requests).toHaveLength(3);
    expect(connections()).toBe(2);
  });

  test("below every call is UNAVAILABLE in the end", async () => {
    const goAway = Buffer.from([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    const client = clientOf(await saying(Buffer.concat([settings, goAway])));
    for (const [, call] of kinds) expect(await call(client)).toMatchObject({ code: Code.Unavailable });
  });
});

describe.each(kinds)("%s that the server leaves unfinished", (_kind, call) => {
  test.each(phases)("%s ends at its deadline, and the server hears of it", async (_when, begin) => {
    const { url, requests } = await misbehaving((stream) => void begin(stream, grpcType));
    expect(await call(clientOf(url), { timeoutMs: 100 })).toMatchObject({ code: Code.DeadlineExceeded });
    const [stream] = requests;
    if (stream?.closed === false) await once(stream, "close");
    expect(stream?.rstCode).toBe(8);
  });
});

test.each(kinds)("a message over the limit resets the stream of %s, however much of it would follow", async (_kind, call) => {
  const { url, requests } = await misbehaving((stream) => {
    stream.respond({ ":status": 200, "content-type": grpcType });
    stream.write(envelope("x", { length: 0xffff_fff0 }));
  });
  expect(await call(clientOf(url))).toMatchObject({ code: Code.ResourceExhausted });
  const [stream] = requests;
  if (stream?.closed === false) await once(stream, "close");
  expect(stream?.rstCode).toBe(8);
});

describe("a server that answers before the request has ended", () => {
  /** A conversation whose sender says when it was left. */
  function endlessRequest() {
    let left = () => {};
    const leaving = new Promise<void>((resolve) => {
      left = resolve;
    });
    async function* messages() {
      try {
        for (;;) {
          yield { value: "x".repeat(kibibyte) };
          await turn();
        }
      } finally {
        left();
      }
    }
    return { messages: messages(), leaving };
  }

  test.each([
    ["an error", status(9), Code.FailedPrecondition],
    ["OK", ok, undefined],
  ])("with %s ends the call, and its sender", async (_what, trailers, code) => {
    const { url, requests } = await misbehaving(answer(grpcType, { body: good, trailers }));
    const { messages, leaving } = endlessRequest();
    const error = await outcome(async () => {
      for await (const { value } of clientOf(url).bidi(messages)) expect(value).toBe("hello");
    });
    expect(error === "OK" ? undefined : error.code).toBe(code);
    await leaving;
    const [stream] = requests;
    if (stream?.closed === false) await once(stream, "close");
  });

  test("and resets the rest of it is heard", async () => {
    const { url } = await misbehaving((stream) => {
      stream.respond({ ":status": 200, "content-type": grpcType, "grpc-status": "9" }, { endStream: true });
      reset(stream, 0);
    });
    const { messages, leaving } = endlessRequest();
    const error = await outcome(async () => {
      for await (const _ of clientOf(url).bidi(messages));
    });
    expect(error).toMatchObject({ code: Code.FailedPrecondition });
    await leaving;
  });
});

test.each(["its signal", "its deadline"])("an upload that %s cancels never looks whole to the server", async (by) => {
  let told: (how: unknown) => void = () => {};
  const seen = new Promise((resolve) => {
    told = resolve;
  });
  let arrived = () => {};
  const arriving = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const { url } = await startKinds({
    async client(given) {
      try {
        for await (const _ of given) arrived();
        told("whole");
      } catch (thrown) {
        told(thrown);
      }
      return { value: "" };
    },
  });
  const controller = new AbortController();
  async function* upload() {
    yield { value: "the first half" };
    await seen;
  }
  const options = by === "its signal" ? { signal: controller.signal } : { timeoutMs: 100 };
  const error = outcome(() => clientOf(url).client(upload(), options));
  await arriving;
  if (by === "its signal") controller.abort();
  expect(await error).toMatchObject({ code: by === "its signal" ? Code.Canceled : Code.DeadlineExceeded });
  expect(await seen).toMatchObject({ code: expect.any(Number) });
});

/** Says these bytes to whoever connects, when the first bytes of a request have come, and hangs up. */
async function saying(bytes: Buffer | string, hangUp = true): Promise<string> {
  const tcp = createTcpServer((socket: Socket) => {
    socket.on("error", () => {}); // the client may hang up first
    socket.once("data", () => (hangUp ? socket.end(bytes) : socket.write(bytes)));
  });
  return `http://${await listen(tcp)}`;
}

/** The first frame of a server, empty (RFC 9113, section 6.5). */
const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);

const http1 = (...lines: string[]) => `HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\n${lines.join("\r\n")}`;

describe("a peer that speaks no HTTP/2", () => {
  test.each<[what: string, bytes: Buffer | string]>([
    ["hangs up", ""],
    ["speaks HTTP/1.1", "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"],
    ["sends noise", Buffer.alloc(256, 0xa5)],
    ["ends in the middle of its SETTINGS", Buffer.from([0, 0, 6, 4, 0, 0])],
    ["sends a frame that is too large", Buffer.from([0xff, 0xff, 0xff, 4, 0, 0, 0, 0, 0])],
    ["sends DATA on stream 0", Buffer.concat([settings, Buffer.from([0, 0, 1, 0, 0, 0, 0, 0, 0, 0])])],
  ])("but %s is UNAVAILABLE", async (_what, bytes) => {
    const client = clientOf(await saying(bytes));
    for (const [, call] of kinds) expect(await call(client)).toMatchObject({ code: Code.Unavailable });
  });

  test("and says nothing at all is waited for until the deadline", async () => {
    const client = clientOf(await saying("", false));
    for (const [, call] of kinds) expect(await call(client, { timeoutMs: 100 })).toMatchObject({ code: Code.DeadlineExceeded });
  });
});

describe("over HTTP/1.1", () => {
  test.each<[what: string, bytes: Buffer | string]>([
    ["nothing", ""],
    ["no HTTP", "hello\r\n\r\n"],
    ["half a head", http1("x-half")],
    ["a body that is shorter than it says", `${http1("content-length: 100")}\r\n\r\n${message("hello")}`],
    ["a chunk that is cut short", `${http1("transfer-encoding: chunked")}\r\n\r\n64\r\n${message("hello")}`],
    ["chunks without their end", `${http1("transfer-encoding: chunked")}\r\n\r\n7\r\n${message("hello")}\r\n`],
    ["a chunk size that is none", `${http1("transfer-encoding: chunked")}\r\n\r\nzz\r\n`],
    ["two lengths", `${http1("content-length: 7", "content-length: 8")}\r\n\r\n${message("hello")}`],
  ])("an answer of %s is UNAVAILABLE", async (_what, bytes) => {
    const client = clientOf(await saying(bytes), { protocol: "connect", httpVersion: "1.1" });
    expect(await unary(client)).toMatchObject({ code: Code.Unavailable });
  });

  test("an answer that never ends is waited for until the deadline", async () => {
    const client = clientOf(await saying(`${http1("content-length: 100")}\r\n\r\n`, false), {
      protocol: "connect",
      httpVersion: "1.1",
    });
    expect(await unary(client, { timeoutMs: 100 })).toMatchObject({ code: Code.DeadlineExceeded });
  });
});

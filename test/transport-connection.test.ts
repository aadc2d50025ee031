import { once } from "node:events";
import { createServer as createHttp1Server } from "node:http";
import { constants } from "node:http2";
import { createServer as createTcpServer } from "node:net";
import { fileURLToPath } from "node:url";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { type ClosableTransport, createTransport, type TransportOptions } from "../src/wire/index.ts";
import { createHttp2Connection } from "../src/wire/node/http2-client.ts";
import type { ConnectionOptions } from "../src/wire/node/keep-alive.ts";
import {
  answer,
  begin,
  endHeaders,
  endStream,
  fields,
  frame,
  frameTypes,
  startFrames,
  startStreams,
  stringMessage,
  stringValues,
} from "./support/peer.ts";
import { listen, startProgram } from "./support/process.ts";
import { Wire } from "./support/wire-service.ts";

const transports: ClosableTransport[] = [];

afterAll(() => {
  for (const transport of transports) transport.close();
});

function clientOf({ url }: { url: string }, options: Partial<TransportOptions> = {}) {
  const transport = createTransport({ baseUrl: url, ...options });
  transports.push(transport);
  return createClient(Wire, transport);
}

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  return call.then(
    () => Promise.reject(new Error("the call succeeded")),
    (thrown: unknown) => (thrown instanceof ConnectError ? thrown : Promise.reject(thrown)),
  );
}

async function collect(messages: AsyncIterable<{ value: string }>): Promise<string[]> {
  const values: string[] = [];
  for await (const { value } of messages) values.push(value);
  return values;
}

/** Lets a test wait for something and make it happen. */
function createEvent<T = void>() {
  let happen: (value: T) => void = () => {};
  const happened = new Promise<T>((resolve) => {
    happen = resolve;
  });
  return { happened, happen };
}

/** A server that takes connections and never says a word. */
const startMute = () => listen(createTcpServer((socket) => socket.on("error", () => {}).resume()));

describe("a connection", () => {
  test("is opened with the first call and shared by all", async () => {
    const peer = await startStreams((stream) => answer(stream, "hi"));
    const client = clientOf(peer);
    expect(peer.sessions).toHaveLength(0);
    await Promise.all([client.say({}), client.say({}), collect(client.list({}))]);
    await client.say({});
    expect([peer.sessions.length, peer.streams.length]).toEqual([1, 4]);
  });

  test("is opened again when it was lost", async () => {
    const peer = await startStreams((stream, number) => (number === 0 ? stream.session?.destroy() : answer(stream, "hi")));
    const client = clientOf(peer);
    expect((await failureOf(client.say({}))).code).toBe(Code.Unavailable);
    expect((await client.say({})).value).toBe("hi");
    expect(peer.sessions).toHaveLength(2);
  });

  test.each<[what: string, scheme: string, options: Partial<TransportOptions>]>([
    ["does not greet", "http", {}],
    ["does not shake hands over TLS", "https", {}],
    ["does not shake hands over TLS, for HTTP/1.1", "https", { httpVersion: "1.1", protocol: "connect" }],
  ])("to a server that %s is UNAVAILABLE after connectTimeoutMs", async (_what, scheme, options) => {
    const client = clientOf({ url: `${scheme}://${await startMute()}` }, { connectTimeoutMs: 100, ...options });
    const error = await failureOf(client.say({}));
    expect(error).toMatchObject({ code: Code.Unavailable, rawMessage: "the server cannot be reached (ETIMEDOUT)" });
  });

  test("is not waited for by a call that is cancelled before, which is then not sent", async () => {
    const peer = await startStreams((stream) => answer(stream, "hi"));
    const client = clientOf(peer);
    const cancel = new AbortController();
    const cancelled = failureOf(client.say({}, { signal: cancel.signal }));
    const other = client.say({});
    await null; // both have begun
    cancel.abort();
    expect([(await cancelled).code, (await other).value]).toEqual([Code.Canceled, "hi"]);
    expect(peer.streams).toHaveLength(1);
  });

  test("that stays longer than connectTimeoutMs is kept", async () => {
    const go = createEvent();
    const peer = await startStreams((stream) => void go.happened.then(() => answer(stream, "late")));
    const call = clientOf(peer, { connectTimeoutMs: 50 }).say({});
    await once(AbortSignal.timeout(120), "abort"); // longer than a connection may take
    go.happen();
    expect((await call).value).toBe("late");
  });

  test.each(["say", "list"] as const)("to a server that speaks HTTP/1.1 alone is UNAVAILABLE: %s", async (kind) => {
    const url = `http://${await listen(createHttp1Server((_request, response) => response.end()))}`;
    const client = clientOf({ url });
    const call = kind === "say" ? client.say({}) : collect(client.list({}));
    expect((await failureOf(call)).code).toBe(Code.Unavailable);
  });
});

describe("a server that goes away (GOAWAY)", () => {
  test("finishes the calls in flight; the next one goes to a new connection", async () => {
    const go = createEvent();
    const peer = await startStreams(async (stream, number) => {
      if (number > 0) return answer(stream, "new");
      begin(stream);
      stream.write(stringMessage("old "));
      stream.session?.goaway();
      await go.happened;
      stream.end(stringMessage("and whole"));
    });
    const client = clientOf(peer);
    const values: string[] = [];
    for await (const { value } of client.list({})) {
      values.push(value);
      if (values.length > 1) continue;
      while (peer.sessions.length < 2) values.push((await client.say({})).value); // until the GOAWAY has come
      go.happen();
    }
    expect(values).toEqual(["old ", "new", "and whole"]);
  });

  test("before it began a call gets it on a new connection", async () => {
    const peer = await startStreams((stream, number) => {
      if (number === 1) stream.session?.goaway(constants.NGHTTP2_NO_ERROR, 1);
      else answer(stream, `answer ${number}`);
    });
    const client = clientOf(peer);
    await client.say({});
    expect((await client.say({})).value).toBe("answer 2");
    expect([peer.sessions.length, peer.streams.length]).toEqual([2, 3]);
  });

  test("while a call waits for its turn gets it on a new connection", async () => {
    const go = createEvent();
    const peer = await startStreams(
      async (stream, number) => {
        if (number === 0) await go.happened;
        answer(stream, `answer ${number}`);
      },
      { maxConcurrentStreams: 1 },
    );
    const client = clientOf(peer);
    const warm = createEvent();
    peer.server.once("session", (session) => session.once("localSettings", () => warm.happen()));
    const first = client.say({});
    await warm.happened;
    const second = client.say({});
    peer.sessions[0]?.goaway();
    const settled = Promise.allSettled([second]);
    go.happen();
    expect((await first).value).toBe("answer 0");
    await settled;
    expect((await second).value).toBe("answer 1");
    expect([peer.sessions.length, peer.streams.length]).toEqual([2, 2]);
  });
});

describe("a stream that the server refuses (REFUSED_STREAM)", () => {
  const { NGHTTP2_REFUSED_STREAM } = constants;

  test.each(["say", "list"] as const)("is sent again: %s", async (kind) => {
    const peer = await startStreams((stream, number) =>
      number === 0 ? stream.close(NGHTTP2_REFUSED_STREAM) : answer(stream, "hi"),
    );
    const client = clientOf(peer);
    expect(kind === "say" ? (await client.say({})).value : await collect(client.list({}))).toEqual(
      kind === "say" ? "hi" : ["hi"],
    );
    expect([peer.sessions.length, peer.streams.length]).toEqual([1, 2]);
  });

  test("is sent again with its message and its headers", async () => {
    const bodies: Promise<Buffer[]>[] = [];
    const asked: unknown[] = [];
    const peer = await startStreams((stream, number) => {
      bodies.push(stream.toArray());
      if (number === 0) stream.on("end", () => stream.close(NGHTTP2_REFUSED_STREAM));
      else answer(stream, "hi");
    });
    peer.server.on("stream", (_stream, headers) => asked.push(headers["x-ask"]));
    await clientOf(peer).say({ value: "again" }, { headers: { "x-ask": "42" } });
    expect(stringValues(Buffer.concat((await bodies[1]) ?? []))).toEqual(["again"]);
    expect(asked).toEqual(["42", "42"]);
  });

  test("is sent again once and no more, then UNAVAILABLE", async () => {
    const peer = await startStreams((stream) => stream.close(NGHTTP2_REFUSED_STREAM));
    const error = await failureOf(clientOf(peer).say({}));
    expect(error).toMatchObject({ code: Code.Unavailable, rawMessage: "the server takes no call now" });
    expect(peer.streams).toHaveLength(2);
  });

  test("is not sent again when a part of the answer has come", async () => {
    const peer = await startStreams((stream) => {
      begin(stream);
      stream.write(stringMessage("first"), () => stream.close(NGHTTP2_REFUSED_STREAM));
    });
    expect((await failureOf(clientOf(peer).say({}))).code).toBe(Code.Unavailable);
    expect(peer.streams).toHaveLength(1);
  });

  test("is not sent again when its caller has cancelled", async () => {
    const cancel = new AbortController();
    const peer = await startStreams((stream) => {
      cancel.abort();
      stream.close(NGHTTP2_REFUSED_STREAM);
    });
    expect((await failureOf(clientOf(peer).say({}, { signal: cancel.signal }))).code).toBe(Code.Canceled);
    expect(peer.streams).toHaveLength(1);
  });

  test("after some messages of a client stream is sent again whole and in order", async () => {
    const again = createEvent();
    const whole = createEvent<string[]>();
    const peer = await startStreams((stream, number) => {
      if (number === 0) {
        let body = Buffer.alloc(0);
        stream.on("data", (chunk: Buffer) => {
          body = Buffer.concat([body, chunk]);
          if (stringValues(body).length === 2) stream.close(NGHTTP2_REFUSED_STREAM);
        });
        return;
      }
      again.happen();
      void stream.toArray().then((chunks) => whole.happen(stringValues(Buffer.concat(chunks))));
      stream.on("end", () => answer(stream, "done"));
    });
    const messages = (async function* () {
      yield { value: "a" };
      yield { value: "b" };
      await again.happened;
      yield { value: "c" };
    })();
    expect((await clientOf(peer).join(messages)).value).toBe("done");
    expect(await whole.happened).toEqual(["a", "b", "c"]);
  });

  test("with more than is kept of a client stream is UNAVAILABLE", async () => {
    const peer = await startStreams((stream) => {
      let bytes = 0;
      stream.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > 300 * 1024) stream.close(NGHTTP2_REFUSED_STREAM);
      });
    });
    const value = "x".repeat(64 * 1024);
    const messages = (async function* () {
      for (;;) yield { value };
    })();
    expect((await failureOf(clientOf(peer).join(messages))).code).toBe(Code.Unavailable);
    expect(peer.streams).toHaveLength(1);
  });
});

test.each<[name: keyof typeof constants, code: Code]>([
  ["NGHTTP2_INTERNAL_ERROR", Code.Internal],
  ["NGHTTP2_CANCEL", Code.Canceled],
  ["NGHTTP2_ENHANCE_YOUR_CALM", Code.ResourceExhausted],
  ["NGHTTP2_INADEQUATE_SECURITY", Code.PermissionDenied],
  ["NGHTTP2_NO_ERROR", Code.Internal],
])("a stream that the server resets with %s is not sent again", async (name, code) => {
  const peer = await startStreams((stream) => stream.close(Number(constants[name])));
  expect((await failureOf(clientOf(peer).say({}))).code).toBe(code);
  expect(peer.streams).toHaveLength(1);
});

describe("frames that come in one piece", () => {
  const head = frame(
    frameTypes.headers,
    { flags: endHeaders, stream: 1 },
    Buffer.concat([Buffer.of(0x88), fields({ "content-type": "application/grpc+proto" })]),
  );
  const message = frame(frameTypes.data, { stream: 1 }, stringMessage("hi"));
  const trailer = frame(frameTypes.headers, { flags: endHeaders | endStream, stream: 1 }, fields({ "grpc-status": "0" }));
  const reset = (code: number) => frame(frameTypes.reset, { stream: 1 }, Buffer.of(0, 0, 0, code));
  const goaway = (code: number) => frame(frameTypes.goaway, {}, Buffer.of(0, 0, 0, 1, 0, 0, 0, code));
  const broken = frame(frameTypes.ping, { stream: 1 }); // neither its stream nor its length are a PING's

  test.each<[what: string, frames: Buffer[]]>([
    ["a whole answer", [head, message, trailer]],
    [
      "a whole answer and a reset without error, as of a server that does not want the rest",
      [head, message, trailer, reset(0)],
    ],
    ["a whole answer and GOAWAY", [head, message, trailer, goaway(0)]],
  ])("%s: the answer counts", async (_what, frames) => {
    const client = clientOf({ url: await startFrames(frames) });
    expect((await client.say({})).value).toBe("hi");
  });

  test.each<[what: string, frames: Buffer[]]>([
    ["a whole answer", [head, message, trailer]],
    ["a whole answer and a reset without error", [head, message, trailer, reset(0)]],
    ["a whole answer and GOAWAY", [head, message, trailer, goaway(0)]],
  ])("%s: the stream's answer counts", async (_what, frames) => {
    const client = clientOf({ url: await startFrames(frames) });
    expect(await collect(client.list({}))).toEqual(["hi"]);
  });

  test.each<[what: string, frames: Buffer[], code: Code]>([
    ["GOAWAY with an error", [goaway(2)], Code.Unavailable],
    ["a head and GOAWAY with an error", [head, goaway(2)], Code.Unavailable],
    ["a head, a message and GOAWAY with an error", [head, message, goaway(2)], Code.Unavailable],
    ["a broken frame", [broken], Code.Unavailable],
    ["a head and a broken frame", [head, broken], Code.Unavailable],
    ["a head, a message and a broken frame", [head, message, broken], Code.Unavailable],
    ["a head and a reset", [head, reset(2)], Code.Internal],
    ["a head, a message and a reset", [head, message, reset(8)], Code.Canceled],
  ])("%s: the call ends", async (_what, frames, code) => {
    const { happened, happen } = createEvent<ConnectError[]>();
    const url = await startFrames(frames);
    void Promise.all([failureOf(clientOf({ url }).say({})), failureOf(collect(clientOf({ url }).list({})))]).then(happen);
    expect((await happened).map((error) => error.code)).toEqual([code, code]);
  });
});

/** What a connection is made of; no keepalive. */
const connectionOptions = (url: string): ConnectionOptions => ({
  origin: url,
  scheme: "http",
  authority: new URL(url).host,
  tls: {},
  connectTimeoutMs: 5_000,
  keepaliveMs: undefined,
  keepaliveTimeoutMs: 5_000,
  streamWindowBytes: 65_535,
  connectionWindowBytes: 65_535,
  maxHeaderBytes: 16_384,
});

/** A sink that tells how its exchange ended. */
function createSink(onHead = () => {}) {
  const { happened, happen } = createEvent<string>();
  const sink = {
    head: onHead,
    data: () => {},
    drained: () => {},
    end: () => {},
    closed: ({ how }: { how: string }) => happen(how),
  };
  return { sink, closed: happened };
}

const request = { method: "POST", path: "/test.Wire/Say", headers: ["content-type", "application/grpc+proto"] } as const;

test("a connection that is closed within a stream's event ends the exchange", async () => {
  const peer = await startStreams((stream) => begin(stream));
  const connection = createHttp2Connection(connectionOptions(peer.url));
  const { sink, closed } = createSink(() => connection.close());
  connection.open(request, sink);
  expect(await closed).toBe("closed");
});

describe("keepalive", () => {
  test("breaks a connection that does not answer while a call is open", async () => {
    const url = await startFrames([]);
    const connection = createHttp2Connection({ ...connectionOptions(url), keepaliveMs: 20, keepaliveTimeoutMs: 50 });
    const { sink, closed } = createSink();
    connection.open(request, sink);
    expect(await closed).toBe("lost");
    connection.close();
  });

  test("pings while a call is open, and not when none is", async () => {
    const peer = await startStreams((stream, number) => (number === 0 ? stream.resume() : answer(stream, "hi")));
    const connection = createHttp2Connection({ ...connectionOptions(peer.url), keepaliveMs: 20 });
    const pings = createEvent();
    let count = 0;
    peer.server.on("session", (session) => {
      session.on("ping", () => {
        if (++count === 3) pings.happen();
      });
    });
    const first = createSink();
    const exchange = connection.open(request, first.sink);
    await pings.happened;
    exchange.reset("cancel");
    await first.closed;
    await once(AbortSignal.timeout(40), "abort"); // a ping on its way arrives
    const before = count;
    await once(AbortSignal.timeout(150), "abort"); // more than seven pings long
    expect(count).toBe(before);
    connection.close();
  });
});

describe("the process", () => {
  const program = fileURLToPath(new URL("fixtures/transport/call.ts", import.meta.url));
  const run = (url: string, ...args: readonly string[]) => startProgram([process.execPath, program, url, ...args]);

  test("ends by itself though an idle connection is open", async () => {
    const peer = await startStreams((stream) => answer(stream, "hi"));
    const { exit } = run(peer.url, "say");
    expect(await exit).toEqual({ code: 0, stdout: "hi\n", stderr: "" });
  });

  test("stays alive while a call is open, and ends after it", async () => {
    const peer = await startStreams((stream) => {
      begin(stream);
      stream.write(stringMessage("first"));
    });
    const { seen, exit } = run(peer.url, "list");
    await seen(/first tick 5\n/);
    peer.streams[0]?.end(stringMessage("second"));
    await seen(/second\n/);
    expect(await exit).toMatchObject({ code: 0, stderr: "" });
  });

  test.each(["http", "https"])(
    "ends by itself though the connection for a call that is over is not there yet: %s",
    async (scheme) => {
      const { exit } = run(`${scheme}://${await startMute()}`, "say", "100");
      expect(await exit).toEqual({ code: 0, stdout: "failed: DeadlineExceeded\n", stderr: "" });
    },
    10_000, // less than a connection may take
  );

  test("is not warned of many pings on one connection", async () => {
    const peer = await startStreams((stream) => begin(stream));
    peer.server.on("session", (session) => {
      let count = 0;
      session.on("ping", () => {
        if (++count === 30) peer.streams[0]?.end();
      });
    });
    const pinging = fileURLToPath(new URL("fixtures/transport/keepalive.ts", import.meta.url));
    const { exit } = startProgram([process.execPath, pinging, peer.url]);
    expect(await exit).toMatchObject({ stderr: "" });
  }, 10_000);

  test.each(["say", "list"] as const)("survives a server that speaks HTTP/1.1 alone: %s", async (kind) => {
    const address = await listen(createHttp1Server((_request, response) => response.end()));
    const { exit } = run(`http://${address}`, kind);
    expect(await exit).toEqual({ code: 0, stdout: "failed: Unavailable\n", stderr: "" });
  });

  test.each(["say", "list"] as const)("survives a server that breaks the connection: %s", async (kind) => {
    const peer = await startStreams((stream) => stream.session?.destroy());
    const { exit } = run(peer.url, kind);
    expect(await exit).toEqual({ code: 0, stdout: "failed: Unavailable\n", stderr: "" });
  });

  test("survives that nobody listens", async () => {
    const { exit } = run("http://127.0.0.1:1", "say");
    expect(await exit).toEqual({ code: 0, stdout: "failed: Unavailable\n", stderr: "" });
  });
});

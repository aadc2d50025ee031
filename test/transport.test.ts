import { once } from "node:events";
import { constants, type ServerHttp2Stream } from "node:http2";
import {
  type CallOptions,
  Code,
  ConnectError,
  createClient,
  createContextKey,
  createContextValues,
  type HandlerContext,
  type Interceptor,
} from "@connectrpc/connect";
import { type ClosableTransport, createTransport, type TransportOptions } from "../src/wire/index.ts";
import { createCertificate } from "./support/certificate.ts";
import { answer, begin, type Peer, startPeer, startStreams, stringMessage } from "./support/peer.ts";
import { startServer } from "./support/server.ts";
import { Wire } from "./support/wire-service.ts";

const transports: ClosableTransport[] = [];

afterAll(() => {
  for (const transport of transports) transport.close();
});

function open(peer: Pick<Peer, "url">, options: Partial<TransportOptions> = {}): ClosableTransport {
  const transport = createTransport({ baseUrl: peer.url, ...options });
  transports.push(transport);
  return transport;
}

const clientOf = (peer: Pick<Peer, "url">, options: Partial<TransportOptions> = {}) => createClient(Wire, open(peer, options));

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

/** A peer that answers with what it was asked. */
const startEcho = () =>
  startPeer({
    say: ({ value }) => ({ value }),
    async *list({ value }) {
      for (const each of value.split(" ")) yield { value: each };
    },
    join: async (messages) => ({ value: (await collect(messages)).join("+") }),
    async *chat(messages) {
      for await (const { value } of messages) yield { value: `${value}!` };
    },
  });

/** A peer that answers with the headers of the request. */
async function startListening() {
  let heard = new Headers();
  const hear = ({ requestHeader }: HandlerContext) => {
    heard = requestHeader;
    return {};
  };
  const peer = await startPeer({ say: (_request, context) => hear(context) });
  return { ...peer, heard: () => heard };
}

/** A peer that never answers, and the stream that it got. */
async function startSilent() {
  const peer = await startStreams((stream) => stream.resume());
  const arrived = once(peer.server, "stream").then(([stream]): ServerHttp2Stream => stream);
  /** Settles with the code by which the stream was reset. */
  const reset = arrived.then(async (stream) => {
    if (!stream.destroyed) await once(stream, "close");
    return stream.rstCode;
  });
  return { ...peer, arrived, reset };
}

const cancelCode = constants.NGHTTP2_CANCEL;

describe("interceptors", () => {
  test("run around the call, the first one outermost", async () => {
    const order: string[] = [];
    const noting =
      (name: string): Interceptor =>
      (next) =>
      async (request) => {
        order.push(`${name} in`);
        const response = await next(request);
        order.push(`${name} out`);
        return response;
      };
    await clientOf(await startEcho(), { interceptors: [noting("a"), noting("b")] }).say({ value: "x" });
    expect(order).toEqual(["a in", "b in", "b out", "a out"]);
  });

  test("see what is called, with which message and context values", async () => {
    const key = createContextKey("nothing");
    const seen: unknown[] = [];
    const interceptor: Interceptor = (next) => (request) => {
      const { service, method, url, requestMethod, stream, contextValues } = request;
      seen.push(service.typeName, method.name, new URL(url).pathname, requestMethod, stream, contextValues.get(key));
      if (!request.stream) seen.push(request.message);
      return next(request);
    };
    const contextValues = createContextValues().set(key, "something");
    await clientOf(await startEcho(), { interceptors: [interceptor] }).say({ value: "x" }, { contextValues });
    const message = expect.objectContaining({ value: "x" });
    expect(seen).toEqual(["test.Wire", "Say", "/test.Wire/Say", "POST", false, "something", message]);
  });

  test.each<[what: string, interceptor: Interceptor]>([
    [
      "in place",
      (next) => (request) => {
        request.header.set("x-added", "yes");
        return next(request);
      },
    ],
    ["in a copy", (next) => (request) => next({ ...request, header: new Headers([...request.header, ["x-added", "yes"]]) })],
  ])("change headers %s", async (_what, interceptor) => {
    const peer = await startListening();
    await clientOf(peer, { interceptors: [interceptor] }).say({}, { headers: { "x-given": "too" } });
    expect([peer.heard().get("x-added"), peer.heard().get("x-given")]).toEqual(["yes", "too"]);
  });

  test("change the answer of a unary call in a copy", async () => {
    const interceptor: Interceptor = (next) => async (request) => {
      const response = await next(request);
      return response.stream ? response : { ...response, message: { ...response.message, value: "changed" } };
    };
    const heard: (string | null)[] = [];
    const onHeader = (header: Headers) => void heard.push(header.get("content-type"));
    const answered = await clientOf(await startEcho(), { interceptors: [interceptor] }).say({ value: "x" }, { onHeader });
    expect([answered.value, ...heard]).toEqual(["changed", "application/grpc+proto"]);
  });

  test("wrap the messages of a stream, out and in", async () => {
    const louder = async function* <T>(messages: AsyncIterable<T>, mark: string) {
      for await (const message of messages) yield { ...message, value: `${(message as { value: string }).value}${mark}` } as T; // a StringValue
    };
    const interceptor: Interceptor = (next) => async (request) => {
      if (!request.stream) return next(request);
      const response = await next({ ...request, message: louder(request.message, "<") });
      return response.stream ? { ...response, message: louder(response.message, ">") } : response;
    };
    const client = clientOf(await startEcho(), { interceptors: [interceptor] });
    const words = (async function* () {
      yield { value: "a" };
      yield { value: "b" };
    })();
    expect(await collect(client.chat(words))).toEqual(["a<!>", "b<!>"]);
  });

  test("see the error of a call, and may make it again", async () => {
    let calls = 0;
    const peer = await startPeer({
      say() {
        if (++calls === 1) throw new ConnectError("not yet", Code.Aborted);
        return { value: "now" };
      },
    });
    const errors: unknown[] = [];
    const again: Interceptor = (next) => (request) =>
      next(request).catch((thrown: unknown) => {
        errors.push(thrown);
        return next(request);
      });
    expect((await clientOf(peer, { interceptors: [again] }).say({})).value).toBe("now");
    expect(errors).toMatchObject([{ code: Code.Aborted, rawMessage: "not yet" }]);
  });

  test.each<[what: string, thrown: unknown, code: Code, message: string]>([
    ["a ConnectError", new ConnectError("no key", Code.Unauthenticated), Code.Unauthenticated, "no key"],
    ["another error", new Error("broken"), Code.Unknown, "broken"],
  ])("fail the call with what they throw: %s", async (_what, thrown, code, rawMessage) => {
    const peer = await startEcho();
    const interceptor: Interceptor = () => async () => Promise.reject(thrown);
    const client = clientOf(peer, { interceptors: [interceptor] });
    expect(await failureOf(client.say({}))).toMatchObject({ code, rawMessage });
    expect(await failureOf(collect(client.list({})))).toMatchObject({ code, rawMessage });
    expect(peer.sessions).toEqual([]);
  });

  describe("have a signal", () => {
    /** Makes a call and gives the signal of its interceptor. */
    async function signalOf(peer: Peer, options: CallOptions) {
      let signal = AbortSignal.abort("there was no call");
      const interceptor: Interceptor = (next) => (request) => {
        signal = request.signal;
        return next(request);
      };
      const call = clientOf(peer, { interceptors: [interceptor] }).say({}, options);
      await call.catch(() => {});
      return signal;
    }

    test("that the caller's own aborts", async () => {
      const peer = await startSilent();
      const cancel = new AbortController();
      void peer.arrived.then(() => cancel.abort());
      expect((await signalOf(peer, { signal: cancel.signal })).reason).toMatchObject({ code: Code.Canceled });
      expect(await peer.reset).toBe(cancelCode);
    });

    test("that the deadline aborts", async () => {
      const peer = await startSilent();
      expect((await signalOf(peer, { timeoutMs: 100 })).reason).toMatchObject({ code: Code.DeadlineExceeded });
      expect(await peer.reset).toBe(cancelCode);
    });

    test("that is aborted when the call is over", async () => {
      expect((await signalOf(await startEcho(), {})).aborted).toBe(true);
    });
  });

  test("leave a stream that its reader leaves", async () => {
    const peer = await startStreams((stream) => {
      begin(stream);
      stream.write(stringMessage("first"));
    });
    const closed = once(peer.server, "stream").then(([stream]) => once(stream, "close").then(() => stream.rstCode));
    const transport = open(peer, { interceptors: [(next) => (request) => next(request)] });
    const { message } = await transport.stream(Wire.method.list, undefined, undefined, undefined, one());
    for await (const _ of message) break;
    expect(await closed).toBe(cancelCode);
  });
});

/** The one message of a server-streaming call. */
async function* one() {
  yield { value: "x" };
}

describe("headers", () => {
  test("name the client, unless the caller names itself", async () => {
    const peer = await startListening();
    await clientOf(peer).say({});
    expect(peer.heard().get("user-agent")).toBe("convoke");
    await clientOf(peer).say({}, { headers: { "User-Agent": "mine/1.0" } });
    expect(peer.heard().get("user-agent")).toBe("mine/1.0");
  });

  test("that belong to the protocol and to HTTP are not the caller's to set", async () => {
    const peer = await startListening();
    const headers = {
      connection: "close",
      "content-length": "7",
      "content-type": "text/plain",
      "grpc-encoding": "rot13",
      "grpc-timeout": "1n",
      host: "elsewhere",
      te: "gzip",
      "transfer-encoding": "chunked",
      "x-mine": "kept",
    };
    await clientOf(peer).say({}, { headers });
    expect(peer.heard().get("x-mine")).toBe("kept");
    expect(peer.heard().get("content-type")).toBe("application/grpc+proto");
    expect(peer.heard().get("te")).toBe("trailers");
    expect(
      ["connection", "content-length", "grpc-encoding", "grpc-timeout", "host"].filter((name) => peer.heard().has(name)),
    ).toEqual([]);
  });
});

describe("a deadline", () => {
  test.each<[protocol: TransportOptions["protocol"], header: string, value: string]>([
    ["grpc", "grpc-timeout", "12000m"],
    ["grpc-web", "grpc-timeout", "12000m"],
    ["connect", "connect-timeout-ms", "12000"],
  ])("travels by %s as %s", async (protocol = "grpc", header, value) => {
    const peer = await startListening();
    await clientOf(peer, { protocol }).say({}, { timeoutMs: 12_000 });
    expect(peer.heard().get(header)).toBe(value);
  });

  test.each<[what: string, given: number | undefined, sent: string | null]>([
    ["is the transport's default", undefined, "5000m"],
    ["is the call's own before the default", 2_000, "2000m"],
    ["is taken away by 0", 0, null],
  ])("%s", async (_what, timeoutMs, sent) => {
    const peer = await startListening();
    const client = clientOf(peer, { defaultTimeoutMs: 5_000 });
    await client.say({}, timeoutMs === undefined ? {} : { timeoutMs });
    expect(peer.heard().get("grpc-timeout")).toBe(sent);
  });

  test("that the server ignores ends the call with DEADLINE_EXCEEDED and resets the stream with CANCEL", async () => {
    const peer = await startSilent();
    const error = await failureOf(clientOf(peer).say({}, { timeoutMs: 100 }));
    expect(error).toMatchObject({ code: Code.DeadlineExceeded, rawMessage: "the call took longer than 100 ms" });
    expect(await peer.reset).toBe(cancelCode);
  });

  test("in the middle of a stream comes after the messages that were read", async () => {
    const peer = await startStreams((stream) => {
      begin(stream);
      stream.write(stringMessage("first"));
    });
    const values: string[] = [];
    const reading = (async () => {
      for await (const { value } of clientOf(peer).list({}, { timeoutMs: 300 })) values.push(value);
    })();
    expect((await failureOf(reading)).code).toBe(Code.DeadlineExceeded);
    expect(values).toEqual(["first"]);
  });
});

describe("an abort", () => {
  test("before the call sends nothing", async () => {
    const peer = await startSilent();
    const error = await failureOf(clientOf(peer).say({}, { signal: AbortSignal.abort() }));
    expect(error.code).toBe(Code.Canceled);
    expect(peer.sessions).toEqual([]);
  });

  test("during the call ends it with CANCELLED and resets the stream with CANCEL", async () => {
    const peer = await startSilent();
    const cancel = new AbortController();
    const error = failureOf(clientOf(peer).say({}, { signal: cancel.signal }));
    await peer.arrived;
    cancel.abort();
    expect((await error).code).toBe(Code.Canceled);
    expect(await peer.reset).toBe(cancelCode);
  });

  test("with a ConnectError ends the call with that error", async () => {
    const peer = await startSilent();
    const cancel = new AbortController();
    const error = failureOf(clientOf(peer).say({}, { signal: cancel.signal }));
    await peer.arrived;
    const reason = new ConnectError("the answer is known elsewhere", Code.Aborted);
    cancel.abort(reason);
    expect(await error).toBe(reason);
  });

  test("during a stream goes before messages that have come and were not read", async () => {
    const peer = await startStreams((stream) => {
      begin(stream);
      stream.write(Buffer.concat([stringMessage("first"), stringMessage("second")]));
    });
    const cancel = new AbortController();
    const values: string[] = [];
    const reading = (async () => {
      for await (const { value } of clientOf(peer).list({}, { signal: cancel.signal })) {
        values.push(value);
        cancel.abort();
      }
    })();
    expect((await failureOf(reading)).code).toBe(Code.Canceled);
    expect(values).toEqual(["first"]);
  });

  test("after the call changes nothing", async () => {
    const cancel = new AbortController();
    const client = clientOf(await startEcho());
    const { value } = await client.say({ value: "x" }, { signal: cancel.signal });
    cancel.abort();
    expect([value, (await client.say({ value: "y" })).value]).toEqual(["x", "y"]);
  });
});

describe("streams", () => {
  test("whose reader leaves early are reset with CANCEL", async () => {
    const peer = await startStreams((stream) => {
      begin(stream);
      stream.write(stringMessage("first"));
    });
    const closed = once(peer.server, "stream").then(([stream]) => once(stream, "close").then(() => stream.rstCode));
    const { message } = await open(peer).stream(Wire.method.list, undefined, undefined, undefined, one());
    for await (const _ of message) break;
    expect(await closed).toBe(cancelCode);
  });

  test("whose input throws fail with its error and are reset", async () => {
    const peer = await startSilent();
    const broken = (async function* () {
      yield { value: "a" };
      await peer.arrived;
      throw new Error("the input broke");
    })();
    expect(await failureOf(clientOf(peer).join(broken))).toMatchObject({ code: Code.Unknown, rawMessage: "the input broke" });
    expect(await peer.reset).toBe(cancelCode);
  });

  test("whose answer is whole before the input is, leave the input", async () => {
    const peer = await startStreams((stream) => {
      stream.resume();
      answer(stream, "enough");
    });
    let left = () => {};
    const leaving = new Promise<void>((resolve) => {
      left = resolve;
    });
    const endless = (async function* () {
      try {
        for (;;) {
          yield { value: "more" };
          await new Promise((resolve) => setImmediate(resolve));
        }
      } finally {
        left();
      }
    })();
    expect((await clientOf(peer).join(endless)).value).toBe("enough");
    await leaving;
  });

  test.each<TransportOptions["protocol"]>(["grpc", "grpc-web", "connect"])(
    "and calls by %s with a message over maxMessageBytes are RESOURCE_EXHAUSTED",
    async (protocol = "grpc") => {
      const client = clientOf(await startEcho(), { protocol, maxMessageBytes: 1_000 });
      const value = "x".repeat(1_100);
      expect((await failureOf(client.say({ value }))).code).toBe(Code.ResourceExhausted);
      expect((await failureOf(collect(client.list({ value })))).code).toBe(Code.ResourceExhausted);
      expect((await client.say({ value: "short" })).value).toBe("short");
    },
  );

  test("with a compressed message that grows over maxMessageBytes are RESOURCE_EXHAUSTED", async () => {
    const client = clientOf(await startEcho(), { maxMessageBytes: 10_000, sendCompression: "gzip" });
    const value = "x".repeat(11_000);
    expect((await failureOf(client.say({ value }))).code).toBe(Code.ResourceExhausted);
    expect((await failureOf(collect(client.list({ value })))).code).toBe(Code.ResourceExhausted);
  });
});

describe("close", () => {
  test.each(["2", "1.1"] as const)("ends calls in flight and new ones with CANCELLED over HTTP/%s", async (httpVersion) => {
    let started = () => {};
    const running = new Promise<void>((resolve) => {
      started = resolve;
    });
    const { url } = await startServer({
      services: (router) =>
        router.service(Wire, {
          say() {
            started();
            return new Promise(() => {});
          },
        }),
    });
    const transport = open({ url }, { protocol: "connect", httpVersion });
    const client = createClient(Wire, transport);
    const inFlight = failureOf(client.say({}));
    await running;
    transport.close();
    expect(await inFlight).toMatchObject({ code: Code.Canceled, rawMessage: "the client was closed" });
    expect(await failureOf(client.say({}))).toMatchObject({ code: Code.Canceled, rawMessage: "the client was closed" });
    expect(await failureOf(collect(client.list({})))).toMatchObject({ code: Code.Canceled });
  });

  test("ends a stream that is being read", async () => {
    const peer = await startStreams((stream) => {
      begin(stream);
      stream.write(stringMessage("first"));
    });
    const transport = open(peer);
    const reading = (async () => {
      for await (const _ of createClient(Wire, transport).list({})) transport.close();
    })();
    expect((await failureOf(reading)).code).toBe(Code.Canceled);
  });

  test("does nothing before the first call, and nothing the second time", () => {
    const transport = createTransport({ baseUrl: "http://127.0.0.1:1" });
    transport.close();
    transport.close();
  });
});

test.each(["/api/v1", "/api/v1/"])("a base URL with the path %s prefixes every path", async (path) => {
  const peer = await startPeer({ say: () => ({ value: "here" }) }, "/api/v1");
  expect((await clientOf({ url: peer.url + path }).say({})).value).toBe("here");
});

describe("TLS", () => {
  test.each(["2", "1.1"] as const)("shows the client's certificate over HTTP/%s", async (httpVersion) => {
    const [server, client] = await Promise.all([createCertificate(), createCertificate()]);
    const { url } = await startServer({
      tls: { ...server, clientCa: client.cert },
      services: (router) => router.service(Wire, { say: () => ({ value: "known" }) }),
    });
    const options = { protocol: "connect", httpVersion } as const;
    const known = clientOf({ url }, { ...options, tls: { ca: server.cert, cert: client.cert, key: client.key } });
    expect((await known.say({})).value).toBe("known");
    const unknown = clientOf({ url }, { ...options, tls: { ca: server.cert } });
    expect((await failureOf(unknown.say({}))).code).toBe(Code.Unavailable);
  });

  test.each(["2", "1.1"] as const)("does not trust a server that it does not know over HTTP/%s", async (httpVersion) => {
    const { url } = await startServer({ tls: await createCertificate() });
    const error = await failureOf(clientOf({ url }, { protocol: "connect", httpVersion }).say({}));
    expect(error.code).toBe(Code.Unavailable);
    expect(error.message).toContain("DEPTH_ZERO_SELF_SIGNED_CERT");
  });
});

describe("options that cannot work are refused at once", () => {
  test.each(["", "localhost:80", "ftp://localhost", "http://"])("the base URL %j", (baseUrl) => {
    expect(() => createTransport({ baseUrl })).toThrow(TypeError);
  });

  test.each([0, 9_999])("keepalive every %d ms", (keepaliveMs) => {
    expect(() => createTransport({ baseUrl: "http://localhost", keepaliveMs })).toThrow(RangeError);
  });

  test.each<[option: string, value: unknown]>([
    ["protocol", "soap"],
    ["codec", "xml"],
    ["httpVersion", "3"],
    ["sendCompression", "zstd"],
    ["keepaliveMs", Number.NaN],
    ["httpVersion", "1.1"], // which the default protocol, gRPC, cannot go over
  ])("the option %s: %j", (option, value) => {
    const options = { baseUrl: "http://localhost", [option]: value } as TransportOptions; // as a program without types might
    expect(() => createTransport(options)).toThrow(RangeError);
  });
});

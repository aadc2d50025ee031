import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp } from "node:net";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createClient,
  createContextKey,
  createContextValues,
  type HandlerContext,
  type Interceptor,
} from "@connectrpc/connect";
import { AgentService } from "../src/contract/index.ts";
import {
  type ClosableTransport,
  createListener,
  createRpcHandler,
  createTransport,
  type FinishedCall,
  type Listener,
  type RpcHandlerOptions,
} from "../src/wire/index.ts";
import { failure } from "./support/failure.ts";
import { http2Request, outcomeOf } from "./support/raw.ts";

const listeners = new Set<Listener>();
const transports = new Set<ClosableTransport>();

afterAll(async () => {
  for (const transport of transports) transport.close();
  await Promise.all([...listeners].map((listener) => listener.close()));
});

/** Serves and gives a client and the base URL. */
async function serve(options: RpcHandlerOptions, protocol: "grpc" | "grpc-web" | "connect" = "grpc") {
  const listener = createListener({ onRequest: createRpcHandler(options).handle });
  listeners.add(listener);
  const { port } = await listener.listen("127.0.0.1", 0);
  const url = `http://127.0.0.1:${port}`;
  const transport = createTransport({ baseUrl: url, protocol });
  transports.add(transport);
  return { client: createClient(AgentService, transport), url, listener };
}

async function texts(chunks: AsyncIterable<{ text: string }>): Promise<string[]> {
  const found: string[] = [];
  for await (const { text } of chunks) found.push(text);
  return found;
}

const echo = (router: ConnectRouter) =>
  router.service(AgentService, {
    processTask: ({ content }) => ({ content }),
    async *streamResponse({ content }) {
      for (const text of content.split(" ")) yield { text };
    },
    async *converse(requests) {
      for await (const { conversationId } of requests) yield { conversationId };
    },
  });

describe("a handler's context", () => {
  test("has what Connect's has", async () => {
    let seen: HandlerContext | undefined;
    let leftMs: number | undefined;
    const routes = (router: ConnectRouter) =>
      router.rpc(AgentService.method.processTask, (_, context) => {
        seen = context;
        const { timeoutMs } = context; // as handlers may take it
        leftMs = timeoutMs();
        context.responseHeader.set("x-answer", "head");
        context.responseTrailer.set("x-answer", "trailer");
        return {};
      });
    const { client, url } = await serve({ routes });
    const headers = new Map<string, Headers>();
    await client.processTask(
      {},
      {
        headers: { "x-question": "yes" },
        timeoutMs: 60_000,
        onHeader: (header) => headers.set("head", header),
        onTrailer: (trailer) => headers.set("trailer", trailer),
      },
    );
    expect(seen).toMatchObject({
      method: AgentService.method.processTask,
      service: AgentService,
      protocolName: "grpc",
      requestMethod: "POST",
      url: `${url}/agent.v1.AgentService/ProcessTask`,
    });
    expect(seen?.requestHeader.get("x-question")).toBe("yes");
    expect(leftMs).toBeLessThanOrEqual(60_000);
    expect(seen?.signal.aborted).toBe(true); // the call has ended
    expect(headers.get("head")?.get("x-answer")).toBe("head");
    expect(headers.get("trailer")?.get("x-answer")).toBe("trailer");
  });

  test("tells by its signal why the work is not wanted any more", async () => {
    const reasons: unknown[] = [];
    let started = () => {};
    const routes = (router: ConnectRouter) =>
      router.rpc(AgentService.method.processTask, async (_, { signal }) => {
        started();
        await once(signal, "abort");
        reasons.push(signal.reason);
        throw new Error("too late to matter");
      });
    const { client, url } = await serve({ routes });

    // A client of its own deadline might cancel before the server's has passed.
    const late = {
      path: "/agent.v1.AgentService/ProcessTask",
      type: "application/proto",
      headers: { "connect-timeout-ms": "50" },
    };
    expect(outcomeOf(await http2Request(url, late))).toBe("deadline_exceeded");

    const running = new Promise<void>((resolve) => {
      started = resolve;
    });
    const cancel = new AbortController();
    const cancelled = failure(client.processTask({}, { signal: cancel.signal }));
    await running;
    cancel.abort();
    expect((await cancelled).code).toBe(Code.Canceled);

    const { hostname, port } = new URL(url);
    const socket = connectTcp(Number(port), hostname); // Node's client would reset its streams first
    const session = connectHttp2(url, { createConnection: () => socket });
    session.on("error", () => {}); // its socket is broken below
    const lost = new Promise<void>((resolve) => {
      started = resolve;
    });
    const stream = session.request({
      ":method": "POST",
      ":path": "/agent.v1.AgentService/ProcessTask",
      "content-type": "application/proto",
    });
    stream.on("error", () => {}); // the connection is broken below
    stream.end();
    await lost;
    socket.destroy();
    while (reasons.length < 3) await new Promise((resolve) => setImmediate(resolve));

    expect(reasons).toMatchObject([
      { code: Code.DeadlineExceeded },
      { code: Code.Canceled, rawMessage: "the caller cancelled the call" },
      { code: Code.Canceled, rawMessage: "the caller's connection broke" },
    ]);
  });

  test("has the values that the server gives, which interceptors and gate see too", async () => {
    const key = createContextKey("nobody");
    const seen: string[] = [];
    const { client } = await serve({
      contextValues: (exchange) => createContextValues().set(key, exchange.peerAddress),
      requestGate: ({ values }) => void seen.push(values.get(key)),
      interceptors: [
        (next) => (request) => {
          seen.push(request.contextValues.get(key));
          return next(request);
        },
      ],
      routes: (router) => router.rpc(AgentService.method.processTask, (_, { values }) => ({ content: values.get(key) })),
    });
    expect((await client.processTask({})).content).toBe("127.0.0.1");
    expect(seen).toEqual(["127.0.0.1", "127.0.0.1"]);
  });
});

describe("interceptors", () => {
  const named =
    (name: string, order: string[]): Interceptor =>
    (next) =>
    async (request) => {
      order.push(`${name} in`);
      const response = await next(request);
      order.push(`${name} out`);
      return response;
    };

  test("wrap the handler, the first one outermost", async () => {
    const order: string[] = [];
    const { client } = await serve({ routes: echo, interceptors: [named("one", order), named("two", order)] });
    expect((await client.processTask({ content: "hi" })).content).toBe("hi");
    expect(order).toEqual(["one in", "two in", "two out", "one out"]);
  });

  test.each(["grpc", "grpc-web", "connect"] as const)(
    "change messages, headers and trailers of every kind (%s)",
    async (protocol) => {
      const shout: Interceptor = (next) => async (request) => {
        request.header.set("x-seen", "yes");
        const response = await next(request.stream ? request : { ...request, message: { ...request.message } });
        response.header.set("x-from", "interceptor");
        response.trailer.set("x-end", "interceptor");
        if (!response.stream) return response;
        const messages = response.message as AsyncIterable<{ text: string }>; // of StreamResponse, the only stream called here
        const loud = (async function* () {
          for await (const message of messages) yield Object.assign(message, { text: message.text.toUpperCase() });
        })();
        return { ...response, message: loud } as typeof response; // messages of the same type
      };
      const { client } = await serve({ routes: echo, interceptors: [shout] }, protocol);
      const found: (string | null)[] = [];
      const look = {
        onHeader: (headers: Headers) => void found.push(headers.get("x-from")),
        onTrailer: (headers: Headers) => void found.push(headers.get("x-end")),
      };
      expect((await client.processTask({ content: "hi" }, look)).content).toBe("hi");
      expect(await texts(client.streamResponse({ content: "one two" }, look))).toEqual(["ONE", "TWO"]);
      expect(found).toEqual(Array(4).fill("interceptor"));
    },
  );

  test("see typed errors and may replace them, before and in the middle of a stream", async () => {
    const seen: Code[] = [];
    const replace: Interceptor = (next) => async (request) => {
      try {
        const response = await next(request);
        if (!response.stream) return response;
        const { message } = response;
        const watched = (async function* () {
          try {
            yield* message;
          } catch (thrown) {
            seen.push(ConnectError.from(thrown).code);
            throw new ConnectError("replaced", Code.DataLoss);
          }
        })();
        return { ...response, message: watched };
      } catch (thrown) {
        seen.push(ConnectError.from(thrown).code);
        throw new ConnectError("replaced", Code.Aborted);
      }
    };
    const { client } = await serve({
      interceptors: [replace],
      routes: (router) =>
        router.service(AgentService, {
          processTask: () => {
            throw new Error("secret");
          },
          async *streamResponse() {
            yield await Promise.reject(new Error("secret"));
          },
        }),
    });
    expect(await failure(client.processTask({}))).toMatchObject({ code: Code.Aborted, rawMessage: "replaced" });
    expect(await failure(texts(client.streamResponse({})))).toMatchObject({ code: Code.DataLoss, rawMessage: "replaced" });
    expect(seen).toEqual([Code.Internal, Code.Internal]);
  });

  test("may answer without the handler", async () => {
    const refuse: Interceptor = () => () => Promise.reject(new ConnectError("not today", Code.Unavailable));
    const { client } = await serve({ routes: echo, interceptors: [refuse] });
    expect(await failure(client.processTask({}))).toMatchObject({ code: Code.Unavailable, rawMessage: "not today" });
    const requests = (async function* () {
      yield {};
    })();
    expect((await failure(client.converse(requests)[Symbol.asyncIterator]().next())).code).toBe(Code.Unavailable);
  });
});

describe("the request gate", () => {
  test("refuses before the body is read, in every protocol", async () => {
    for (const protocol of ["grpc", "grpc-web", "connect"] as const) {
      const { client } = await serve(
        {
          routes: echo,
          requestGate: async ({ requestHeader }) => {
            if (requestHeader.get("authorization") === null) throw new ConnectError("who are you?", Code.Unauthenticated);
          },
        },
        protocol,
      );
      expect((await failure(client.processTask({ content: "hi" }))).code).toBe(Code.Unauthenticated);
      expect((await failure(texts(client.streamResponse({ content: "hi" })))).code).toBe(Code.Unauthenticated);
      expect((await client.processTask({ content: "hi" }, { headers: { authorization: "Bearer me" } })).content).toBe("hi");
    }
  });

  test("is asked though the body never comes", async () => {
    const { url } = await serve({
      routes: echo,
      requestGate: () => {
        throw new ConnectError("no", Code.PermissionDenied);
      },
    });
    const session = connectHttp2(url);
    const stream = session.request({
      ":method": "POST",
      ":path": "/agent.v1.AgentService/ProcessTask",
      "content-type": "application/grpc",
    });
    const [head] = await once(stream, "response");
    expect(head["grpc-status"]).toBe(String(Code.PermissionDenied));
    session.destroy();
  });
});

describe("what is told of calls", () => {
  test("every call once, with its outcome, also one whose message does not parse", async () => {
    const ended: Pick<FinishedCall, "procedure" | "error">[] = [];
    const { client, url } = await serve({
      routes: echo,
      onCallEnd: ({ procedure, error }) => void ended.push({ procedure, error }),
    });
    await client.processTask({ content: "hi" });
    await texts(client.streamResponse({ content: "one two" }));
    await fetch(`${url}/agent.v1.AgentService/ProcessTask`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{",
    });
    expect(ended).toMatchObject([
      { procedure: "agent.v1.AgentService/ProcessTask", error: undefined },
      { procedure: "agent.v1.AgentService/StreamResponse", error: undefined },
      { procedure: "agent.v1.AgentService/ProcessTask", error: { code: Code.InvalidArgument } },
    ]);
  });

  test("a caller that leaves is CANCELLED", async () => {
    let tell: (call: FinishedCall) => void = () => {};
    const ended = new Promise<FinishedCall>((resolve) => {
      tell = resolve;
    });
    const { client } = await serve({
      onCallEnd: (call) => tell(call),
      routes: (router) =>
        router.rpc(AgentService.method.streamResponse, async function* (_, { signal }) {
          yield { text: "first" };
          await once(signal, "abort");
        }),
    });
    const leave = new AbortController();
    const reading = failure(
      (async () => {
        for await (const _ of client.streamResponse({}, { signal: leave.signal })) leave.abort();
      })(),
    );
    expect((await reading).code).toBe(Code.Canceled);
    expect((await ended).error?.code).toBe(Code.Canceled);
  });
});

test("a shutdown ends open calls with its reason, and those that come after", async () => {
  const shutdown = new AbortController();
  let started = () => {};
  const running = new Promise<void>((resolve) => {
    started = resolve;
  });
  const { client } = await serve({
    shutdownSignal: shutdown.signal,
    routes: (router) =>
      router.rpc(AgentService.method.processTask, async (_, { signal }) => {
        started();
        await once(signal, "abort");
        throw signal.reason;
      }),
  });
  const open = failure(client.processTask({}));
  await running;
  shutdown.abort(new ConnectError("going down", Code.Unavailable));
  expect(await open).toMatchObject({ code: Code.Unavailable, rawMessage: "going down" });
  expect(await failure(client.processTask({}))).toMatchObject({ code: Code.Unavailable, rawMessage: "going down" });
});

describe("options of a service", () => {
  test("hold for it alone", async () => {
    const { client } = await serve({
      routes: (router) =>
        router.service(
          AgentService,
          { processTask: ({ content }) => ({ content }) },
          { readMaxBytes: 16, maxTimeoutMs: 1_000 },
        ),
    });
    expect((await client.processTask({ content: "short" })).content).toBe("short");
    expect((await failure(client.processTask({ content: "far too long for it" }))).code).toBe(Code.ResourceExhausted);
    expect((await failure(client.processTask({ content: "short" }, { timeoutMs: 2_000 }))).code).toBe(Code.InvalidArgument);
  });

  test("that would be ignored are refused at once", () => {
    const routes = (router: ConnectRouter) => void router.service(AgentService, {}, { requireConnectProtocolHeader: true });
    expect(() => createRpcHandler({ routes })).toThrow(/requireConnectProtocolHeader/);
  });
});

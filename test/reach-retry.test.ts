import { constants, type ServerHttp2Stream } from "node:http2";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { unavailable } from "../src/core/index.ts";
import { answer, begin, startStreams, stringMessage, stringValues } from "./support/peer.ts";
import { balanced, codeOf, collect, createEvent, failureOf, saying, startNamed, urlsOf } from "./support/reach.ts";
import { startKinds } from "./support/wire.ts";

const busy = () => {
  throw new ConnectError("not now", Code.Unavailable);
};

/** A gRPC answer that is nothing but a status. */
function refuse(stream: ServerHttp2Stream, status: number, headers: Record<string, string> = {}): void {
  stream.respond(
    { ":status": 200, "content-type": "application/grpc+proto", "grpc-status": String(status), ...headers },
    { endStream: true },
  );
}

/** Options for peers that have no health service, and answer every stream alike. */
const alone = { health: false } as const;

describe("a call that fails with UNAVAILABLE", () => {
  test("is sent to another endpoint when its method is declared idempotent", async () => {
    const servers = [await startNamed("good"), await startNamed("bad", busy)];
    const client = balanced({ endpoints: urlsOf(servers), balancing: "round-robin" });
    for (let call = 0; call < 4; call++) expect((await client.unary({})).value).toBe("good");
    expect(servers[1]?.calls()).toBeGreaterThan(0);
  });

  test("says how often it was sent before (gRFC A6)", async () => {
    const attempts: (string | null)[] = [];
    const server = await startKinds({
      unary(_request, { requestHeader }: HandlerContext) {
        attempts.push(requestHeader.get("grpc-previous-rpc-attempts"));
        return attempts.length < 3 ? busy() : {};
      },
    });
    await balanced({ endpoints: [server.url], retry: { initialBackOffMs: 1 } }).unary({});
    expect(attempts).toEqual([null, "1", "2"]);
  });

  test("is sent so often and no more; then its failure is the caller's", async () => {
    const server = await startNamed("bad", busy);
    const client = balanced({ endpoints: [server.url], retry: { maxAttempts: 3, initialBackOffMs: 1 } });
    expect((await failureOf(client.unary({}))).rawMessage).toBe("not now");
    expect(server.calls()).toBe(3);
  });

  test("is sent once when nothing says that its method is idempotent", async () => {
    let calls = 0;
    const server = await startKinds({
      async *server() {
        calls++;
        busy();
        yield {};
      },
    });
    const client = balanced({ endpoints: [server.url], retry: { initialBackOffMs: 1 } });
    expect(await codeOf(collect(client.server({})))).toBe("Unavailable");
    expect(calls).toBe(1);
    expect(await codeOf(collect(client.server({}, saying({ idempotent: true }))))).toBe("Unavailable");
    expect(calls).toBe(5);
  });

  test("is sent once when retries are turned off", async () => {
    const server = await startNamed("bad", busy);
    expect(await codeOf(balanced({ endpoints: [server.url], retry: false }).unary({}))).toBe("Unavailable");
    expect(server.calls()).toBe(1);
  });

  test("fails at once when its deadline comes before the next attempt", async () => {
    const server = await startNamed("bad", busy);
    const client = balanced({ endpoints: [server.url], retry: { initialBackOffMs: 5_000 } });
    const startMs = performance.now();
    expect(await codeOf(client.unary({}, { timeoutMs: 2_000 }))).toBe("Unavailable");
    expect(performance.now() - startMs).toBeLessThan(1_000);
  });

  test("can be cancelled between two attempts", async () => {
    const cancel = new AbortController();
    const server = await startNamed("bad", () => {
      setImmediate(() => setImmediate(() => cancel.abort()));
      return busy();
    });
    const client = balanced({ endpoints: [server.url], retry: { initialBackOffMs: 5_000 } });
    expect(await codeOf(client.unary({}, { signal: cancel.signal }))).toBe("Canceled");
    expect(server.calls()).toBe(1);
  });
});

test.each(["grpc", "grpc-web", "connect"] as const)("a call is sent again over %s", async (protocol) => {
  const server = await startNamed("good", (call) => (call === 0 ? busy() : "good"));
  const client = balanced({ endpoints: [server.url], protocol, retry: { initialBackOffMs: 1 } });
  expect((await client.unary({})).value).toBe("good");
});

test("interceptors see one call, however often it is sent", async () => {
  const server = await startNamed("good", (call) => (call < 2 ? busy() : "good"));
  const urls: string[] = [];
  const client = balanced({
    endpoints: [server.url],
    retry: { initialBackOffMs: 1 },
    interceptors: [
      (next) => (request) => {
        urls.push(new URL(request.url).pathname);
        return next(request);
      },
    ],
  });
  expect((await client.unary({})).value).toBe("good");
  expect(urls).toEqual(["/test.Kinds/unary"]);
});

describe("what a server says of the next attempt", () => {
  test.each<[what: string, headers: Record<string, string>, attempts: number]>([
    ["grpc-retry-pushback-ms of less than 0: there is none", { "grpc-retry-pushback-ms": "-1" }, 1],
    ["grpc-retry-pushback-ms that is no number: there is none", { "grpc-retry-pushback-ms": "x" }, 1],
    ["nothing", {}, 4],
  ])("%s", async (_what, headers, attempts) => {
    const peer = await startStreams((stream) => refuse(stream, Code.Unavailable, headers));
    const client = balanced({ ...alone, endpoints: [peer.url], retry: { initialBackOffMs: 1 } });
    expect(await codeOf(client.unary({}))).toBe("Unavailable");
    expect(peer.streams).toHaveLength(attempts);
  });

  test("grpc-retry-pushback-ms is how long it waits, in place of its own time", async () => {
    const startMs = performance.now();
    const peer = await startStreams((stream, number) => {
      if (number === 0) refuse(stream, Code.Unavailable, { "grpc-retry-pushback-ms": "120" });
      else answer(stream, "hi");
    });
    const client = balanced({ ...alone, endpoints: [peer.url], retry: { initialBackOffMs: 20_000, maxBackOffMs: 20_000 } });
    expect((await client.unary({})).value).toBe("hi");
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(119);
  });

  test("RetryInfo is the shortest wait where the same endpoint is asked again", async () => {
    const server = await startNamed("good", (call) => {
      if (call === 0) throw unavailable("in a moment", 150);
      return "good";
    });
    const startMs = performance.now();
    const client = balanced({ endpoints: [server.url], retry: { initialBackOffMs: 1 } });
    expect((await client.unary({})).value).toBe("good");
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(149);
  });

  test("RetryInfo of one endpoint does not hold a call up that another can take", async () => {
    const slow = await startNamed("later", () => {
      throw unavailable("in a minute", 60_000);
    });
    const servers = [slow, await startNamed("good")];
    const client = balanced({ endpoints: urlsOf(servers), balancing: "round-robin" });
    for (let call = 0; call < 2; call++) expect((await client.unary({}, { timeoutMs: 10_000 })).value).toBe("good");
    expect(slow.calls()).toBeGreaterThan(0);
  });
});

describe("an attempt's own deadline", () => {
  test("sends a call elsewhere when an endpoint is silent", async () => {
    const silent = await startStreams(() => {});
    const good = await startStreams((stream) => answer(stream, "hi"));
    const client = balanced({
      ...alone,
      endpoints: [silent.url, good.url],
      balancing: "round-robin",
      attemptTimeoutMs: 50,
    });
    for (let call = 0; call < 2; call++) expect((await client.unary({})).value).toBe("hi");
    expect(silent.streams.map(({ rstCode }) => rstCode)).toContain(constants.NGHTTP2_CANCEL);
  });

  test("is not for methods that the contract does not declare idempotent", async () => {
    const peer = await startStreams(() => {});
    const client = balanced({ ...alone, endpoints: [peer.url], attemptTimeoutMs: 20 });
    expect(await codeOf(collect(client.server({}, { timeoutMs: 200, ...saying({ idempotent: true }) })))).toBe(
      "DeadlineExceeded",
    );
    expect(peer.streams).toHaveLength(1);
  });
});

describe("a stream", () => {
  const twice = { ...alone, retry: { initialBackOffMs: 1 } };

  test("is sent again while no message of its answer has come, though its head has", async () => {
    const peer = await startStreams((stream, number) => {
      if (number > 0) return answer(stream, "a", "b");
      begin(stream);
      setImmediate(() => stream.session?.destroy());
    });
    const client = balanced({ ...twice, endpoints: [peer.url] });
    expect(await collect(client.server({}, saying({ idempotent: true })))).toEqual(["a", "b"]);
  });

  test("is not sent again after the first message", async () => {
    const peer = await startStreams((stream) => {
      begin(stream);
      stream.write(stringMessage("a"), () => setImmediate(() => stream.session?.destroy()));
    });
    const client = balanced({ ...twice, endpoints: [peer.url] });
    const values: string[] = [];
    const reading = (async () => {
      for await (const { value } of client.server({}, saying({ idempotent: true }))) values.push(value);
    })();
    expect(await codeOf(reading)).toBe("Unavailable");
    expect([values, peer.streams.length]).toEqual([["a"], 1]);
  });

  test("of the client's is sent again whole and in order", async () => {
    const whole = createEvent<string[]>();
    const again = createEvent();
    const peer = await startStreams((stream, number) => {
      if (number === 0) {
        let body = Buffer.alloc(0);
        stream.on("data", (chunk: Buffer) => {
          body = Buffer.concat([body, chunk]);
          if (stringValues(body).length === 2) refuse(stream, Code.Unavailable);
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
    const client = balanced({ ...twice, endpoints: [peer.url] });
    expect((await client.client(messages, saying({ idempotent: true }))).value).toBe("done");
    expect(await whole.happened).toEqual(["a", "b", "c"]);
  });

  test("of the client's is not sent again when more was sent than is kept", async () => {
    const peer = await startStreams((stream) => {
      let bytes = 0;
      stream.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > 300 * 1024 && !stream.headersSent) refuse(stream, Code.Unavailable);
      });
    });
    const value = "x".repeat(64 * 1024);
    const messages = (async function* () {
      for (;;) yield { value };
    })();
    const client = balanced({ ...twice, endpoints: [peer.url] });
    expect(await codeOf(client.client(messages, saying({ idempotent: true })))).toBe("Unavailable");
    expect(peer.streams).toHaveLength(1);
  });

  test("in both directions gets the head of its answer before it sends on, and is sent again when a status is all that comes", async () => {
    const peer = await startStreams((stream, number) => {
      if (number === 0) return refuse(stream, Code.Unavailable);
      begin(stream);
      stream.once("data", () => stream.end(stringMessage("over")));
    });
    const head = createEvent();
    const messages = (async function* () {
      await head.happened;
      yield { value: "now" };
    })();
    const client = balanced({ ...twice, endpoints: [peer.url] });
    const options = { ...saying({ idempotent: true }), onHeader: () => head.happen() };
    expect(await collect(client.bidi(messages, options))).toEqual(["over"]);
    expect(peer.streams).toHaveLength(2);
  });
});

describe("what the server did not begin", () => {
  test("is sent elsewhere, whatever its method: REFUSED_STREAM", async () => {
    const refusing = await startStreams((stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM));
    const good = await startStreams((stream) => answer(stream, "hi"));
    const client = balanced({ ...alone, endpoints: [refusing.url, good.url], balancing: "round-robin" });
    for (let call = 0; call < 3; call++) expect(await collect(client.server({}))).toEqual(["hi"]);
    expect(refusing.streams.length).toBeGreaterThan(0);
  });

  test("is sent elsewhere: a GOAWAY below its stream", async () => {
    const leaving = await startStreams((stream) => {
      if (stream.id === 1) answer(stream, "hi");
      else stream.session?.goaway(constants.NGHTTP2_NO_ERROR, 1);
    });
    const good = await startStreams((stream) => answer(stream, "hi"));
    const client = balanced({ ...alone, endpoints: [leaving.url, good.url], balancing: "round-robin", retry: false });
    for (let call = 0; call < 6; call++) expect(await collect(client.server({}))).toEqual(["hi"]);
    expect(leaving.streams.length).toBeGreaterThan(1);
  });
});

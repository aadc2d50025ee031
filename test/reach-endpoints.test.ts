import { createServer as createHttp2Server } from "node:http2";
import { connect as connectTcp, createServer as createTcpServer, type Socket } from "node:net";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import type { Endpoint } from "../src/index.ts";
import { Kinds } from "./support/kinds.ts";
import { answer, begin, startStreams, stringMessage } from "./support/peer.ts";
import { listen } from "./support/process.ts";
import {
  balanced,
  callUntil,
  codeOf,
  collect,
  createEvent,
  createSource,
  failureOf,
  openBalanced,
  saying,
  startNamed,
  urlsOf,
} from "./support/reach.ts";
import { startKinds } from "./support/wire.ts";

/** A server that takes connections and never says a word. */
const startMute = async () => `http://${await listen(createTcpServer((socket) => socket.on("error", () => {}).resume()))}`;

const nobody = "http://127.0.0.1:1";

describe("connections", () => {
  test("are opened with the first call, one for each endpoint, and shared", async () => {
    const peers = await Promise.all([1, 2].map(() => startStreams((stream) => answer(stream, "hi"))));
    const client = balanced({ endpoints: urlsOf(peers), health: false });
    expect(peers.map(({ sessions }) => sessions.length)).toEqual([0, 0]);
    await Promise.all(Array.from({ length: 20 }, () => client.unary({})));
    await callUntil(
      () => client.unary({}),
      () => peers.every(({ streams }) => streams.length > 0),
    );
    expect(peers.map(({ sessions }) => sessions.length)).toEqual([1, 1]);
  });

  test("are more than one when the peer's streams run out, and no call waits for another's end", async () => {
    const open: (() => void)[] = [];
    const all = createEvent();
    const peer = await startStreams(
      (stream) => {
        open.push(() => answer(stream, "hi"));
        if (open.length === 5) all.happen();
      },
      { maxConcurrentStreams: 2 },
    );
    const client = balanced({ endpoints: [peer.url], health: false });
    const calls = Array.from({ length: 5 }, () => client.unary({}));
    await all.happened;
    for (const each of open) each();
    expect(await Promise.all(calls)).toHaveLength(5);
    expect(peer.sessions).toHaveLength(3);
  });

  test("are opened again when they were lost, after a second at the earliest", async () => {
    const peer = await startStreams((stream, number) => (number === 0 ? stream.session?.destroy() : answer(stream, "hi")));
    const client = balanced({ endpoints: [peer.url], health: false, retry: false });
    const startMs = performance.now();
    expect(await codeOf(client.unary({}))).toBe("Unavailable");
    expect((await client.unary({})).value).toBe("hi");
    expect(performance.now() - startMs).toBeGreaterThan(750); // 1 s − 20 %
    expect(peer.sessions).toHaveLength(2);
  });
});

describe("when no endpoint can be called", () => {
  test("a call fails at once with UNAVAILABLE and the reason", async () => {
    const error = await failureOf(balanced({ endpoints: [nobody] }).unary({}));
    expect(error).toMatchObject({ code: Code.Unavailable, rawMessage: "none of 1 endpoints can be called: ECONNREFUSED" });
  });

  test("a call that waits for one gets it", async () => {
    const list = createSource({ url: nobody });
    const client = balanced({ endpoints: list.source });
    expect(await codeOf(client.unary({}))).toBe("Unavailable");
    const call = client.unary({}, saying({ waitForReady: true }));
    list.change({ url: (await startNamed("late")).url });
    expect((await call).value).toBe("late");
  });

  test("a call that waits ends with its deadline or its cancel", async () => {
    const client = balanced({ endpoints: [nobody], waitForReady: true });
    expect(await codeOf(client.unary({}, { timeoutMs: 30 }))).toBe("DeadlineExceeded");
    const cancel = new AbortController();
    const call = codeOf(collect(client.server({}, { signal: cancel.signal })));
    setImmediate(() => cancel.abort());
    expect(await call).toBe("Canceled");
  });

  test("a call waits while an endpoint is only just being connected to", async () => {
    const url = await startMute();
    const client = balanced({ endpoints: [url], connectTimeoutMs: 150 });
    expect(await codeOf(client.unary({}, { timeoutMs: 50 }))).toBe("DeadlineExceeded");
    expect((await failureOf(client.unary({}))).rawMessage).toBe("none of 1 endpoints can be called: ETIMEDOUT");
  });

  test.each([undefined, []])("%p as the list of endpoints", async (endpoints) => {
    const list = createSource();
    if (endpoints !== undefined) list.change(...endpoints);
    const client = balanced({ endpoints: list.source });
    const call = failureOf(client.unary({}));
    if (endpoints === undefined) list.fail(new Error("the registry is away"));
    expect(await call).toMatchObject({
      code: Code.Unavailable,
      rawMessage: endpoints === undefined ? "the endpoints are not known: the registry is away" : "there is no endpoint",
    });
  });

  test("a closed transport fails calls that wait, those in flight and new ones with CANCELLED", async () => {
    const peer = await startStreams((stream) => begin(stream));
    const flying = openBalanced({ endpoints: [peer.url], health: false });
    const waiting = openBalanced({ endpoints: [nobody], waitForReady: true });
    const seen = new Promise((resolve) => peer.server.once("stream", resolve));
    const calls = [flying, waiting].map((transport) => codeOf(createClient(Kinds, transport).unary({})));
    await seen;
    flying.close();
    waiting.close();
    expect(await Promise.all(calls)).toEqual(["Canceled", "Canceled"]);
    expect(await codeOf(createClient(Kinds, flying).unary({}))).toBe("Canceled");
  });
});

describe("an endpoint that is silent", () => {
  test("on accepting does not hold up calls that another can take", async () => {
    const servers = [{ url: await startMute() }, await startNamed("good")];
    const client = balanced({ endpoints: urlsOf(servers) });
    for (let call = 0; call < 5; call++) expect((await client.unary({})).value).toBe("good");
  });

  test("in the middle, on a half-open connection, is left by attempts with a deadline, and then passed over", async () => {
    const good = await startNamed("good");
    const behind = await startNamed("behind");
    const proxy = await startProxy(behind.port);
    const client = balanced({ endpoints: [good.url, proxy.url], attemptTimeoutMs: 50, balancing: "round-robin" });
    await callUntil(
      () => client.unary({}),
      ({ value }) => value === "behind",
    );
    proxy.stall();
    const values = new Set<string>();
    for (let call = 0; call < 12; call++) values.add((await client.unary({})).value);
    expect(values).toEqual(new Set(["good"]));
    const startMs = performance.now();
    for (let call = 0; call < 12; call++) await client.unary({});
    expect(performance.now() - startMs).toBeLessThan(500); // no more than a probe of the breaker has waited
  });
});

/** Passes bytes to a port, until it passes none without a word to anybody. */
async function startProxy(port: number) {
  const pairs = new Set<Socket>();
  const server = createTcpServer((socket) => {
    const other = connectTcp(port, "127.0.0.1");
    for (const each of [socket, other]) {
      each.on("error", () => {});
      pairs.add(each);
    }
    socket.pipe(other).pipe(socket);
    socket.on("close", () => other.destroy());
  });
  const url = `http://${await listen(server)}`;
  return {
    url,
    stall() {
      for (const each of pairs) each.unpipe().pause();
    },
  };
}

describe("health", () => {
  test("that is NOT_SERVING takes an endpoint out, and SERVING brings it back", async () => {
    const health = startHealth();
    const sick = await health.start("sick");
    const servers = [sick, await startNamed("good")];
    const client = balanced({ endpoints: urlsOf(servers), balancing: "round-robin" });
    await callUntil(
      () => client.unary({}),
      ({ value }) => value === "sick",
    );
    health.say(2);
    await callUntil(
      () => Promise.all([client.unary({}), client.unary({}), client.unary({}), client.unary({})]),
      (answers) => answers.every(({ value }) => value === "good"),
    );
    health.say(1);
    await callUntil(
      () => client.unary({}),
      ({ value }) => value === "sick",
    );
  });

  test("is asked for the service that the options name", async () => {
    const health = startHealth();
    const { url } = await health.start("one");
    await balanced({ endpoints: [url], health: "test.Kinds" }).unary({});
    expect(health.asked()).toEqual(["test.Kinds"]);
  });

  test("that nobody tells (UNIMPLEMENTED) is good", async () => {
    expect((await balanced({ endpoints: [(await startNamed("plain")).url] }).unary({})).value).toBe("plain");
  });

  test("that is not known in time is none", async () => {
    const peer = await startStreams(() => {});
    const client = balanced({ endpoints: [peer.url], connectTimeoutMs: 100 });
    expect((await failureOf(client.unary({}))).rawMessage).toMatch(/its health is not known after 100 ms/);
  });
});

/** A server with a health service that says what the test says. */
function startHealth() {
  const streams = new Set<(status: number) => void>();
  const asked: string[] = [];
  return {
    asked: () => asked,
    say(status: number) {
      for (const each of streams) each(status);
    },
    async start(name: string) {
      const server = createHttp2Server();
      server.on("stream", (stream, headers) => {
        stream.on("error", () => {});
        if (headers[":path"] !== "/grpc.health.v1.Health/Watch") return answer(stream, name);
        stream.on("data", (bytes: Buffer) => asked.push(bytes.subarray(7).toString()));
        begin(stream);
        const tell = (status: number) => stream.write(Buffer.of(0, 0, 0, 0, 2, 8, status));
        streams.add(tell);
        stream.on("close", () => streams.delete(tell));
        tell(1);
      });
      return { url: `http://${await listen(server)}` };
    },
  };
}

describe("a server that drains", () => {
  test("finishes what it has begun, and gets nothing new", async () => {
    const begun = createEvent();
    const go = createEvent();
    const list = createSource();
    let held = true;
    const slow = await startKinds({
      async unary() {
        if (held) {
          held = false;
          begun.happen();
          await go.happened;
        }
        return { value: "slow" };
      },
    });
    list.change({ url: slow.url });
    const client = balanced({ endpoints: list.source });
    const first = client.unary({});
    await begun.happened;
    const other = await startNamed("other");
    list.change({ url: slow.url }, { url: other.url });
    await callUntil(
      () => client.unary({}),
      ({ value }) => value === "other",
    );
    const drained = slow.listener.drain();
    await callUntil(
      () => Promise.all([client.unary({}), client.unary({}), client.unary({})]),
      (answers) => answers.every(({ value }) => value === "other"),
    );
    go.happen();
    expect((await first).value).toBe("slow");
    await drained;
  });

  test("loses no call under load", async () => {
    const servers = await Promise.all([startNamed("one"), startNamed("two"), startNamed("three")]);
    const client = balanced({ endpoints: urlsOf(servers) });
    let calling = true;
    const loops = Array.from({ length: 20 }, async () => {
      let count = 0;
      for (; calling; count++) await client.unary({});
      return count;
    });
    for (const { listener, calls } of servers.slice(0, 2)) {
      const before = calls();
      await callUntil(
        () => client.unary({}),
        () => calls() > before,
      );
      await listener.drain();
      await listener.close();
    }
    calling = false;
    const counts = await Promise.all(loops);
    expect(counts.every((count) => count > 0)).toBe(true);
  });

  test("says GOAWAY in the middle of a stream, which goes on while calls go elsewhere", async () => {
    const go = createEvent();
    const peer = await startStreams(async (stream, number) => {
      if (number > 0) return answer(stream, "new");
      begin(stream);
      stream.write(stringMessage("old"));
      stream.session?.goaway();
      await go.happened;
      stream.end(stringMessage("and whole"));
    });
    const client = balanced({ endpoints: [peer.url], health: false });
    const values: string[] = [];
    for await (const { value } of client.server({})) {
      values.push(value);
      if (values.length > 1) continue;
      while (peer.sessions.length < 2) values.push((await client.unary({})).value);
      go.happen();
    }
    expect([values[0], values.at(-1)]).toEqual(["old", "and whole"]);
    expect(values.slice(1, -1).every((value) => value === "new")).toBe(true);
  });
});

describe("a list of endpoints that changes", () => {
  test("under load loses no call", async () => {
    const servers = await Promise.all(["a", "b", "c", "d"].map((name) => startNamed(name)));
    const [a, b, c, d] = servers.map(({ url }): Endpoint => ({ url }));
    if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error("four were started");
    const list = createSource(a, b);
    const client = balanced({ endpoints: list.source });
    const answered = new Map<string, number>();
    let calling = true;
    const loops = Array.from({ length: 20 }, async () => {
      while (calling) {
        const { value } = await client.unary({});
        answered.set(value, (answered.get(value) ?? 0) + 1);
      }
    });
    const until = (name: string) =>
      callUntil(
        async () => answered.get(name) ?? 0,
        (count) => count > 0,
      );
    for (const [endpoints, name] of [
      [[b, c], "c"],
      [[d], "d"],
      [[a, d], "a"],
    ] as const) {
      list.change(...endpoints);
      answered.delete(name);
      await until(name);
    }
    list.change(a);
    await callUntil(
      async () => answered.clear(),
      () => true,
    );
    calling = false;
    await Promise.all(loops);
    expect((await client.unary({})).value).toBe("a");
  });

  test("lets calls on what has left end, and closes its connection then", async () => {
    const peer = await startStreams((stream) => begin(stream));
    const list = createSource({ url: peer.url });
    const client = balanced({ endpoints: list.source, health: false });
    const seen = new Promise((resolve) => peer.server.once("stream", resolve));
    const call = client.unary({});
    await seen;
    const closed = new Promise((resolve) => peer.sessions[0]?.once("close", resolve));
    list.change();
    peer.streams[0]?.end(stringMessage("whole"));
    expect((await call).value).toBe("whole");
    await closed;
  });

  test("goes on to hold while its source is away", async () => {
    const list = createSource({ url: (await startNamed("known")).url });
    const client = balanced({ endpoints: list.source });
    await client.unary({});
    list.fail(new Error("away"));
    expect((await client.unary({})).value).toBe("known");
  });

  test("is watched from the first call to the end", async () => {
    const list = createSource({ url: (await startNamed("one")).url });
    const transport = openBalanced({ endpoints: list.source });
    expect(list.watched()).toBe(0);
    await createClient(Kinds, transport).unary({});
    expect(list.watched()).toBe(1);
    transport.close();
    expect(list.watched()).toBe(0);
  });

  test("may hold what is no endpoint, which is left out", async () => {
    const list = createSource({ url: "ftp://nowhere" }, { url: "x" }, { url: (await startNamed("good")).url });
    expect((await balanced({ endpoints: list.source }).unary({})).value).toBe("good");
  });
});

describe("zones", () => {
  test("calls stay in the own zone while it has an endpoint, and leave it when it has none", async () => {
    const near = await startNamed("near");
    const far = await startNamed("far");
    const list = createSource({ url: near.url, zone: "a" }, { url: far.url, zone: "b" });
    const client = balanced({ endpoints: list.source, zone: "a" });
    await callUntil(
      () => client.unary({}),
      ({ value }) => value === "near",
    );
    const before = far.calls();
    for (let call = 0; call < 30; call++) expect((await client.unary({})).value).toBe("near");
    expect(far.calls()).toBe(before);
    await near.listener.close();
    expect((await client.unary({})).value).toBe("far");
  });
});

describe("an endpoint that fails", () => {
  test("attracts no calls, however fast it fails", async () => {
    const bad = await startNamed("bad", () => {
      throw new ConnectError("at once", Code.Internal);
    });
    const good = [await startNamed("one", later), await startNamed("two", later)];
    const client = balanced({ endpoints: urlsOf([bad, ...good]), retry: false });
    let failed = 0;
    const loops = Array.from({ length: 20 }, async () => {
      for (let call = 0; call < 20; call++) await client.unary({}).catch(() => failed++);
    });
    await Promise.all(loops);
    expect(failed).toBe(bad.calls());
    expect(bad.calls()).toBeLessThan(400 / 3);
  });

  test("is tried again, and gets calls again when it is well", async () => {
    let well = false;
    const sick = await startNamed("sick", () => {
      if (well) return "sick";
      throw new ConnectError("not well", Code.Unavailable);
    });
    const client = balanced({ endpoints: urlsOf([sick, await startNamed("good")]), balancing: "round-robin" });
    await callUntil(
      () => client.unary({}),
      () => sick.calls() >= 5,
    );
    const calls = sick.calls();
    for (let call = 0; call < 20; call++) await client.unary({});
    expect(sick.calls()).toBeLessThanOrEqual(calls + 1); // its breaker is open
    well = true;
    await callUntil(
      () => client.unary({}),
      ({ value }) => value === "sick",
    );
  });

  test("by its answers alone is not given up when there is no other", async () => {
    const server = await startNamed("only", (call) => {
      if (call < 20) throw new ConnectError("a bug", Code.Internal);
      return "only";
    });
    const client = balanced({ endpoints: [server.url] });
    for (let call = 0; call < 20; call++) expect(await codeOf(client.unary({}))).toBe("Internal");
    expect((await client.unary({})).value).toBe("only");
  });
});

/** An answer that takes a few milliseconds. */
const later = () => new Promise<string>((resolve) => setTimeout(() => resolve("later"), 5));

describe("what has to be right", () => {
  test.each(["no url", "ftp://host", "http://host/path", "http://"])("%s is no endpoint", (url) => {
    expect(() => balanced({ endpoints: [url] })).toThrow(TypeError);
  });

  test("an identity that nothing checks keeps calls from the endpoint", async () => {
    const { url } = await startNamed("one");
    const identity = "spiffe://test/agent";
    const refusalOf = async (at: string) =>
      (await failureOf(balanced({ endpoints: [{ url: at, identity }] }).unary({}))).rawMessage;
    expect(await refusalOf(url.replace("http:", "https:"))).toMatch(/nothing here checks it/);
    expect(await refusalOf(url)).toMatch(/which nobody can over http/);
  });

  test("a server of HTTP/1.1 is no endpoint that can be called", async () => {
    const url = `http://${await listen(createTcpServer((socket) => socket.on("error", () => {}).end("HTTP/1.1 400 Bad\r\n\r\n")))}`;
    expect(await codeOf(balanced({ endpoints: [url] }).unary({}))).toBe("Unavailable");
  });
});

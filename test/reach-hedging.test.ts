import { once } from "node:events";
import { constants } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { answer, startStreams } from "./support/peer.ts";
import { balanced, callUntil, codeOf, createEvent, startNamed, urlsOf } from "./support/reach.ts";

const never = () => new Promise<string>(() => {});

describe("hedging", () => {
  test("asks a second endpoint when the first is silent, takes its answer and cancels the other", async () => {
    const silent = await startStreams((stream, number) => {
      if (number === 0) answer(stream, "the only one");
    });
    const good = await startStreams((stream) => answer(stream, "hi"));
    const client = balanced({
      ...{ health: false, endpoints: [silent.url, good.url] },
      balancing: "round-robin",
      hedging: { delayMs: 20 },
    });
    await callUntil(
      () => client.unary({}),
      () => silent.streams.length > 0 && good.streams.length > 0, // both are connected to
    );
    for (let call = 0; call < 2; call++) expect((await client.unary({})).value).toBe("hi");
    const [, stream] = silent.streams;
    if (stream?.closed === false) await once(stream, "close");
    expect(stream?.rstCode).toBe(constants.NGHTTP2_CANCEL);
  });

  test("asks nobody else when the answer is there in time", async () => {
    const servers = [await startNamed("one"), await startNamed("two")];
    const client = balanced({ endpoints: urlsOf(servers), hedging: { delayMs: 10_000, maxAttempts: 5 } });
    for (let call = 0; call < 10; call++) await client.unary({});
    expect((servers[0]?.calls() ?? 0) + (servers[1]?.calls() ?? 0)).toBe(10);
  });

  test("goes on at once after a refusal, and to each endpoint once before any twice", async () => {
    const busy = () => {
      throw new ConnectError("not now", Code.Unavailable);
    };
    const servers = [await startNamed("bad", busy), await startNamed("worse", busy), await startNamed("good")];
    const client = balanced({ endpoints: urlsOf(servers), hedging: { delayMs: 10_000, maxAttempts: 3 } });
    await Promise.all(Array.from({ length: 3 }, () => client.unary({})));
    expect((await client.unary({})).value).toBe("good");
  });

  test("ends with a failure that another endpoint would give as well", async () => {
    const calls = [0, 0];
    const servers = await Promise.all(
      ["one", "two"].map((name, index) =>
        startNamed(name, () => {
          calls[index] = (calls[index] ?? 0) + 1;
          throw new ConnectError("no such thing", Code.NotFound);
        }),
      ),
    );
    const client = balanced({ endpoints: urlsOf(servers), hedging: { delayMs: 10_000 } });
    expect(await codeOf(client.unary({}))).toBe("NotFound");
    expect(calls.reduce((sum, each) => sum + each)).toBe(1);
  });

  test("ends with its deadline, and with the caller's cancel", async () => {
    const servers = [await startNamed("one", never), await startNamed("two", never)];
    const client = balanced({ endpoints: urlsOf(servers), hedging: { delayMs: 5 } });
    expect(await codeOf(client.unary({}, { timeoutMs: 100 }))).toBe("DeadlineExceeded");
    const cancel = new AbortController();
    const call = codeOf(client.unary({}, { signal: cancel.signal }));
    setImmediate(() => cancel.abort());
    expect(await call).toBe("Canceled");
  });

  test("takes from the budget of the target: there is an end to it when nothing ever answers", async () => {
    const started = createEvent();
    let calls = 0;
    const server = await startNamed("slow", () => {
      if (++calls === 30) started.happen();
      return never();
    });
    const client = balanced({ endpoints: [server.url], hedging: { delayMs: 0, maxAttempts: 5 } });
    const open = Promise.all(Array.from({ length: 20 }, () => codeOf(client.unary({}, { timeoutMs: 500 }))));
    await started.happened;
    await open;
    expect(calls).toBe(30); // 20 calls, and the 10 more that are always allowed
  });
});

test.each([{ delayMs: -1 }, { delayMs: 1, maxAttempts: 1 }, { delayMs: 1, maxAttempts: 6 }])(
  "hedging %j is refused",
  (hedging) => {
    expect(() => balanced({ endpoints: [], hedging })).toThrow(RangeError);
  },
);

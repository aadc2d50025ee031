import { Code } from "@connectrpc/connect";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, headers } from "@nats-io/transport-node";
import { isLeaseHeld, isLeaseLost, isLengthConflict, type LeaseChange, type Store } from "../src/store/index.ts";
import { logHeader, noHash, sealLogMessage } from "../src/store/nats/log-message.ts";
import { createLayout, decodeName, encodeName } from "../src/store/nats/subjects.ts";
import { useNatsStores } from "./support/nats-stores.ts";
import { describeStore } from "./support/store-contract.ts";
import { describeWith, findTool } from "./support/tools.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (entry: Uint8Array) => new TextDecoder().decode(entry);

async function readAll(store: Store, log: string, from = 0): Promise<string[]> {
  const entries: string[] = [];
  for await (const entry of store.read(log, from)) entries.push(text(entry));
  return entries;
}

test.each([
  ["a", "a"],
  ["task/7", "task.7"],
  ["Task_a-B/0", "Task_a-B.0"],
  ["a.b", "a=2Eb"],
  ["*", "=2A"],
  [">", "=3E"],
  ["=2E", "=3D2E"],
  ["/", "=.="],
  ["a//b/", "a.=.b.="],
  ["$JS/~", "=24JS.=7E"],
])("the name %j is %j in a subject, and back", (name, subject) => {
  expect(encodeName(name)).toBe(subject);
  expect(decodeName(subject)).toBe(name);
});

describeWith(findTool("nats-server", "NATS_SERVER"), "the store on a cluster of three NATS servers", (program) => {
  const stores = useNatsStores(program);

  describeStore("NATS store", () => stores.open());

  test("names of all characters are kept apart, and listed", async () => {
    const store = await stores.open();
    const all = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index)).join("");
    const names = ["*", ">", "a", "a.b", "a/b", "a/*", "a//", "=", "=/", all, "/".repeat(256), ".".repeat(256)].sort();
    for (const name of names) await store.append(name, [bytes(name)]);
    for (const name of names) expect(await readAll(store, name)).toEqual([name]);
    expect((await store.logs("")).map(({ name }) => name)).toEqual(names);
    expect((await store.logs("a/")).map(({ name }) => name)).toEqual(["a/*", "a//", "a/b"]);
    const lease = await store.lease(">", bytes("v"), 60_000);
    await store.lease("*", bytes("v"), 60_000);
    await lease.release();
  });

  describe("several clients", () => {
    const openTwo = async (): Promise<[Store, Store]> => {
      const prefix = stores.prefix();
      return [await stores.open({ prefix }), await stores.open({ prefix, servers: [...stores.cluster.servers].reverse() })];
    };

    test("what one has appended the other reads at once, and lists", async () => {
      const [one, other] = await openTwo();
      for (let length = 1; length <= 50; length++) {
        await one.append("a", [bytes(`${length}`)]);
        expect(await readAll(other, "a", length - 1)).toEqual([`${length}`]);
        expect(await other.logs("")).toMatchObject([{ name: "a", length }]);
      }
    });

    test("of two that expect the same length one wins, however often; who expects none always gets in", async () => {
      const writers = await openTwo();
      const [one, other] = writers;
      let [won, lost] = [0, 0];
      const insist = async (store: Store) => {
        for (let length = await store.append("a", []); length < 100; length = await store.append("a", [])) {
          const outcome = await store
            .append("a", [bytes(`${length}`)], { expectedLength: length })
            .catch((thrown: unknown) => thrown);
          if (typeof outcome === "number") won++;
          else {
            expect(isLengthConflict(outcome)).toBe(true);
            lost++;
          }
        }
      };
      await Promise.all(writers.map(insist));
      expect(lost).toBeGreaterThan(0);
      expect(await readAll(one, "a")).toEqual(Array.from({ length: won }, (_, index) => `${index}`));
      const lengths = await Promise.all(
        Array.from({ length: 40 }, (_, each) => writers[each % 2]?.append("b", [bytes(`${each}`)])),
      );
      expect(lengths.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
      expect(new Set(await readAll(other, "b")).size).toBe(40);
    });

    test("a follower at one sees what the other appends, large appends too, and is told when it trims", async () => {
      const [one, other] = await openTwo();
      const large = Array.from({ length: 3 }, (_, part) => new Uint8Array(700_000).fill(part));
      const reader = other.read("a", 0, { follow: true })[Symbol.asyncIterator]();
      const next = reader.next();
      await one.append("a", [bytes("0")]);
      expect(text((await next).value)).toBe("0");
      await one.append("a", large);
      await one.append("a", ["4", "5"].map(bytes));
      for (const entry of large) expect(Buffer.compare((await reader.next()).value, entry)).toBe(0);
      await one.trim("a", 5);
      expect(await readAll(other, "a", 5)).toEqual(["5"]);
      await expect(reader.next()).rejects.toMatchObject({ code: Code.OutOfRange });
      expect(await other.append("a", [bytes("6")], { expectedLength: 6 })).toBe(7);
    });

    test("from any number on, with trims between and appends of all sizes", async () => {
      const [one, other] = await openTwo();
      const entries = Array.from({ length: 400 }, (_, index) => bytes(`${index} `.repeat(1 + ((index * 7919) % 3_000))));
      for (let number = 0; number < 400; ) {
        number = await one.append("a", entries.slice(number, number + 1 + ((number * 31) % 5)));
        await other.append("a-neighbour", [bytes("x")]);
        if (number === 100) await other.trim("a", 20);
      }
      for (const from of [20, 21, 99, 200, 399]) expect(await readAll(other, "a", from)).toEqual(entries.slice(from).map(text));
    });

    test("a lease of one holds for the other, who is told of it, of its end and of the next", async () => {
      const [one, other] = await openTwo();
      const lease = await one.lease("k", bytes("1"), 60_000);
      const end = new AbortController();
      const changes = other.watch("", { signal: end.signal })[Symbol.asyncIterator]();
      const told = async () => (await changes.next()).value as LeaseChange; // a watch does not end
      expect(await told()).toEqual({ case: "put", key: "k", value: bytes("1"), revision: lease.revision });
      expect(await told()).toEqual({ case: "current" });
      expect(isLeaseHeld(await other.lease("k", bytes("2"), 60_000).catch((thrown: unknown) => thrown))).toBe(true);
      await lease.renew(bytes("1b"));
      expect(await told()).toMatchObject({ case: "put", value: bytes("1b"), revision: lease.revision });
      await lease.release();
      expect(await told()).toEqual({ case: "delete", key: "k", revision: lease.revision });
      const next = await other.lease("k", bytes("2"), 60_000);
      expect(next.revision).toBeGreaterThan(lease.revision);
      expect(isLeaseLost(await lease.renew().catch((thrown: unknown) => thrown))).toBe(true);
      await lease.release();
      await next.renew();
      end.abort();
    });

    test("the lease of one who has gone ends on time for the other, and its key is free then", async () => {
      const [one, other] = await openTwo();
      const end = new AbortController();
      const changes = other.watch("", { signal: end.signal })[Symbol.asyncIterator]();
      await changes.next();
      const startMs = performance.now();
      const lease = await one.lease("k", bytes(""), 700);
      await (one as Awaited<ReturnType<typeof stores.open>>).close(); // openTwo opens no others
      await changes.next();
      expect((await changes.next()).value).toEqual({ case: "delete", key: "k", revision: lease.revision });
      expect(performance.now() - startMs).toBeGreaterThanOrEqual(699);
      expect(performance.now() - startMs).toBeLessThan(950);
      expect((await other.lease("k", bytes(""), 700)).revision).toBeGreaterThan(lease.revision);
      end.abort();
    });

    test("of twenty who take and release a key at two clients one has it at a time, with ever higher revisions", async () => {
      const both = await openTwo();
      const revisions: bigint[] = [];
      let holders = 0;
      const work = async (store: Store) => {
        for (let times = 0; times < 3; ) {
          const lease = await store.lease("k", bytes(""), 60_000).catch((thrown: unknown) => {
            if (!isLeaseHeld(thrown)) throw thrown;
          });
          if (lease === undefined) continue;
          expect(++holders).toBe(1);
          revisions.push(lease.revision);
          await lease.renew();
          holders--;
          await lease.release();
          times++;
        }
      };
      await Promise.all(Array.from({ length: 20 }, (_, each) => work(both[each % 2] ?? both[0])));
      expect(revisions).toEqual([...revisions].sort((a, b) => Number(a - b)));
      expect(new Set(revisions).size).toBe(60);
    });
  });

  describe("what is not as it was written", () => {
    const withNats = async <T>(use: (nats: { js: Awaited<ReturnType<typeof jetstreamManager>> }) => Promise<T>) => {
      const connection = await connect({ servers: [...stores.cluster.servers] });
      try {
        return await use({ js: await jetstreamManager(connection) });
      } finally {
        await connection.close();
      }
    };

    test("a message that is gone is DATA_LOSS that names its entry", async () => {
      const prefix = stores.prefix();
      const store = await stores.open({ prefix });
      for (const entry of ["0", "1", "2"]) await store.append("a", [bytes(entry)]);
      const { stream, subject } = createLayout(prefix).log("a");
      await withNats(async ({ js }) => {
        const last = await js.streams.getMessage(stream, { last_by_subj: subject });
        await js.streams.deleteMessage(stream, (last?.seq ?? 0) - 1); // nobody else writes to this stream
      });
      const reading = readAll(store, "a");
      await expect(reading).rejects.toMatchObject({
        code: Code.DataLoss,
        message: expect.stringContaining('entry 1 of log "a"'),
      });
      await expect(readAll(store, "a", 1)).rejects.toMatchObject({ code: Code.DataLoss });
      expect(await readAll(store, "a", 2)).toEqual(["2"]);
    });

    test.each([
      ["of somebody else", undefined],
      ["that was written for another log", sealLogMessage("b", emptyMessage(1), bytes("x")).header],
      ["whose bytes are others", sealLogMessage("a", emptyMessage(1), bytes("y")).header],
    ])("a message %s is DATA_LOSS, to those who read it and to those who append", async (_, header) => {
      const prefix = stores.prefix();
      const store = await stores.open({ prefix });
      await store.append("a", [bytes("0")]);
      const options = header === undefined ? {} : { headers: headers() };
      options.headers?.set(logHeader, header ?? "");
      await withNats(({ js }) => js.jetstream().publish(createLayout(prefix).log("a").subject, bytes("x"), options));
      await expect(readAll(store, "a")).rejects.toMatchObject({ code: Code.DataLoss });
      await expect(store.append("a", [bytes("1")])).rejects.toMatchObject({ code: Code.DataLoss });
    });

    test("the parts of a large append that was left behind count for nothing", async () => {
      const prefix = stores.prefix();
      const store = await stores.open({ prefix });
      const leave = async (part: ReturnType<typeof emptyMessage>) => {
        const published = headers();
        published.set(logHeader, sealLogMessage("a", { ...part, kind: "part", count: 0 }, bytes("left")).header);
        const { subject } = createLayout(prefix).log("a");
        await withNats(({ js }) => js.jetstream().publish(subject, bytes("left"), { headers: published }));
      };
      await leave(emptyMessage(0));
      expect(await store.logs("")).toEqual([]);
      expect(await readAll(store, "a")).toEqual([]);
      const large = new Uint8Array(1_200_000).fill(7);
      expect(await store.append("a", [large], { expectedLength: 0 })).toBe(1);
      expect(await store.append("a", [bytes("1")])).toBe(2);
      const entries = [];
      for await (const entry of store.read("a", 0)) entries.push(entry.byteLength);
      expect(entries).toEqual([large.byteLength, 1]);
    });
  });

  test("a full store is RESOURCE_EXHAUSTED; what is trimmed makes room", async () => {
    const store = await stores.open({ maxBytes: 1024 * 1024 });
    const entry = new Uint8Array(100_000);
    await store.append("a", [entry]);
    await store.append("a", [entry]);
    await expect(store.append("a", [entry])).rejects.toMatchObject({ code: Code.ResourceExhausted });
    expect(await store.logs("")).toMatchObject([{ name: "a", length: 2 }]);
    await store.trim("a", 2);
    expect(await store.append("a", [entry], { expectedLength: 2 })).toBe(3);
  });

  test("an append of more than can be held is RESOURCE_EXHAUSTED", async () => {
    const store = await stores.open();
    const entry = new Uint8Array(4 * 1024 * 1024);
    await expect(store.append("a", Array<Uint8Array>(17).fill(entry))).rejects.toMatchObject({ code: Code.ResourceExhausted });
  });

  test("closing ends all who wait, and what comes later is refused", async () => {
    const store = await stores.open();
    const lease = await store.lease("k", bytes(""), 60_000);
    const changes = store.watch("", { signal: new AbortController().signal })[Symbol.asyncIterator]();
    await changes.next();
    await changes.next();
    const waiting: Promise<unknown>[] = [changes.next(), store.read("a", 0, { follow: true })[Symbol.asyncIterator]().next()];
    await store.append("b", [bytes("x")]);
    await store.close();
    await store.close();
    const calls = [
      ...waiting,
      store.append("a", [bytes("x")]),
      readAll(store, "b"),
      store.trim("a", 1),
      store.logs(""),
      store.lease("k", bytes(""), 1_000),
      lease.renew(),
      store.watch("", { signal: new AbortController().signal })[Symbol.asyncIterator]().next(),
    ];
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: Code.FailedPrecondition });
  });
});

/** A message with one entry at this number, of whoever does not know what was before. */
function emptyMessage(number: number) {
  return { kind: "entries", number, count: 1, first: 0, start: 0, lastAppendMs: 0, previous: noHash } as const;
}

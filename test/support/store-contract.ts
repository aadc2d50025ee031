import { setImmediate as turn } from "node:timers/promises";
import { Code } from "@connectrpc/connect";
import { storeBounds } from "../../src/core/index.ts";
import {
  isLeaseHeld,
  isLeaseLost,
  isLengthConflict,
  type LeaseChange,
  type ReadOptions,
  type Store,
} from "../../src/store/index.ts";
import { heldBytes } from "./heap.ts";
import { createRandom, seed } from "./random.ts";

/** How far a lease may outlive its time (the store contract). */
const maxLateMs = 250;

/** What every store promises. @param open gives a store with nothing in it, whose end the suite does not see. */
export function describeStore(name: string, open: () => Promise<Store>): void {
  describe(`${name}: append and read`, () => appending(open));
  describe(`${name}: following`, () => following(open));
  describe(`${name}: trim`, () => trimming(open));
  describe(`${name}: the list of logs`, () => listing(open));
  describe(`${name}: leases`, () => leasing(open));
  describe(`${name}: watch`, () => watching(open));
}

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (entry: Uint8Array) => new TextDecoder().decode(entry);

async function readAll(store: Store, log: string, from = 0): Promise<string[]> {
  const entries: string[] = [];
  for await (const entry of store.read(log, from)) entries.push(text(entry));
  return entries;
}

/** Reads as many entries as asked for. */
async function take(entries: AsyncIterable<Uint8Array>, count: number): Promise<string[]> {
  const taken: string[] = [];
  for await (const entry of entries) if (taken.push(text(entry)) === count) return taken;
  throw new Error(`the log ended after ${taken.length} of ${count} entries`);
}

/** What a promise failed with. */
async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
}

function appending(open: () => Promise<Store>): void {
  test("appends give the length; reads give the entries from any number on, byte for byte", async () => {
    const store = await open();
    expect(await store.append("a", [bytes("0"), bytes("1")])).toBe(2);
    expect(await store.append("a", [new Uint8Array(), Uint8Array.of(0, 255, 10)])).toBe(4);
    expect(await readAll(store, "a", 0)).toEqual(["0", "1", "", text(Uint8Array.of(0, 255, 10))]);
    expect(await readAll(store, "a", 3)).toHaveLength(1);
    expect(await readAll(store, "a", 4)).toEqual([]);
    expect(await readAll(store, "a", 9)).toEqual([]);
    expect(await readAll(store, "b")).toEqual([]);
  });

  test("no entries change nothing, and begin no log", async () => {
    const store = await open();
    expect(await store.append("a", [])).toBe(0);
    expect(await store.logs("")).toEqual([]);
    expect(isLengthConflict(await failure(store.append("a", [], { expectedLength: 1 })))).toBe(true);
  });

  test("a wrong expected length is refused, and nothing is appended", async () => {
    const store = await open();
    await store.append("a", [bytes("0")], { expectedLength: 0 });
    for (const expectedLength of [0, 2]) {
      const thrown = await failure(store.append("a", [bytes("x"), bytes("y")], { expectedLength }));
      expect(thrown).toMatchObject({ code: Code.FailedPrecondition, message: expect.stringContaining("has 1 entries") });
      expect(isLengthConflict(thrown)).toBe(true);
      expect(isLeaseLost(thrown)).toBe(false);
    }
    expect(await store.append("a", [bytes("1")], { expectedLength: 1 })).toBe(2);
    expect(await readAll(store, "a")).toEqual(["0", "1"]);
  });

  test("of writers that expect the same length one wins", async () => {
    const store = await open();
    const writers = Array.from({ length: 20 }, (_, writer) => store.append("a", [bytes(`${writer}`)], { expectedLength: 0 }));
    const outcomes = await Promise.allSettled(writers);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(await readAll(store, "a")).toHaveLength(1);
  });

  test("the entries of one append stay together, whoever else appends", async () => {
    const store = await open();
    const writers = Array.from({ length: 50 }, (_, writer) =>
      store.append(
        "a",
        ["x", "y", "z"].map((part) => bytes(`${writer}${part}`)),
      ),
    );
    const lengths = await Promise.all(writers);
    const entries = await readAll(store, "a");
    expect([...lengths].sort((one, other) => one - other)).toEqual(Array.from({ length: 50 }, (_, index) => 3 * (index + 1)));
    lengths.forEach((length, writer) => {
      expect(entries.slice(length - 3, length)).toEqual([`${writer}x`, `${writer}y`, `${writer}z`]);
    });
  });

  test.each<[what: string, entries: () => Uint8Array[]]>([
    [
      "an entry that is too large, with good ones around it",
      () => [bytes("x"), new Uint8Array(storeBounds.maxEntryBytes + 1), bytes("y")],
    ],
    ["too many entries", () => Array.from({ length: storeBounds.maxAppendEntries + 1 }, () => bytes(""))],
  ])("%s is RESOURCE_EXHAUSTED, and nothing is appended", async (_, entries) => {
    const store = await open();
    expect(await failure(store.append("a", entries()))).toMatchObject({ code: Code.ResourceExhausted });
    expect(await readAll(store, "a")).toEqual([]);
  });

  test("an entry of the largest size comes back", async () => {
    const store = await open();
    await store.append("a", [new Uint8Array(storeBounds.maxEntryBytes).fill(7)]);
    for await (const entry of store.read("a", 0)) expect(entry.byteLength).toBe(storeBounds.maxEntryBytes);
  });

  test.each(["", "a b", "ä", "a\n", "x".repeat(storeBounds.maxNameChars + 1)])("the name %j is a RangeError", async (name) => {
    const store = await open();
    expect(await failure(store.append(name, [bytes("x")]))).toBeInstanceOf(RangeError);
    expect(await failure(readAll(store, name))).toBeInstanceOf(RangeError);
    expect(await failure(store.trim(name, 0))).toBeInstanceOf(RangeError);
    expect(await failure(store.lease(name, bytes(""), 1_000))).toBeInstanceOf(RangeError);
  });

  test.each([-1, 0.5, Number.NaN])("the number %d is a RangeError", async (number) => {
    const store = await open();
    expect(await failure(readAll(store, "a", number))).toBeInstanceOf(RangeError);
    expect(await failure(store.append("a", [], { expectedLength: number }))).toBeInstanceOf(RangeError);
    expect(await failure(store.trim("a", number))).toBeInstanceOf(RangeError);
    expect(await failure(store.logs("", { limit: number }))).toBeInstanceOf(RangeError);
  });
}

function following(open: () => Promise<Store>): void {
  test("many followers, quick and slow, see every entry once and in order, from wherever they begin", async () => {
    const store = await open();
    const random = createRandom(seed);
    const count = 500;
    const follow = async (from: number, slow: boolean) => {
      const seen: string[] = [];
      for await (const entry of store.read("a", from, { follow: true })) {
        seen.push(text(entry));
        if (slow) await turn();
        if (from + seen.length === count) break;
      }
      return seen;
    };
    const starts = Array.from({ length: 40 }, (_, reader) => ({ from: random(count), slow: reader % 2 === 0 }));
    const readers = starts.map(({ from, slow }) => follow(from, slow));
    for (let next = 0; next < count; ) {
      const batch = Array.from({ length: Math.min(1 + random(7), count - next) }, (_, index) => bytes(`${next + index}`));
      next = await store.append("a", batch);
      if (random(3) === 0) await turn();
    }
    const seen = await Promise.all(readers);
    seen.forEach((entries, reader) => {
      const from = starts[reader]?.from ?? 0;
      expect(entries).toEqual(Array.from({ length: count - from }, (_, index) => `${from + index}`));
    });
  });

  test("a follower of a log that is not there sees its first entry", async () => {
    const store = await open();
    const reading = take(store.read("later", 0, { follow: true }), 1);
    await store.append("other", [bytes("x")]);
    await store.append("later", [bytes("first")]);
    expect(await reading).toEqual(["first"]);
  });

  test.each<[when: string, options: Omit<ReadOptions, "signal">]>([
    ["in the middle of a wait", { follow: true }],
    ["between two entries", {}],
  ])("an abort ends the reading %s with its reason", async (_, options) => {
    const store = await open();
    await store.append("a", [bytes("0"), bytes("1")]);
    const controller = new AbortController();
    const reason = new Error("enough");
    const seen: string[] = [];
    const reading = (async () => {
      for await (const entry of store.read("a", 0, { ...options, signal: controller.signal })) {
        seen.push(text(entry));
        if (options.follow !== true || seen.length === 2) controller.abort(reason);
      }
    })();
    expect(await failure(reading)).toBe(reason);
    expect(seen).toHaveLength(options.follow === true ? 2 : 1);
  });

  test("readers that have stopped, followers and slow ones cost no memory", async () => {
    const store = await open();
    const entry = new Uint8Array(1_000);
    const slow = Array.from({ length: 200 }, () => store.read("a", 0, { follow: true })[Symbol.asyncIterator]());
    await store.append("a", [entry]);
    for (const reader of slow) await reader.next();
    const before = heldBytes();
    for (let round = 0; round < 200; round++) {
      const controller = new AbortController();
      const waits = Array.from({ length: 50 }, () =>
        failure(take(store.read("b", 0, { follow: true, signal: controller.signal }), 1)),
      );
      await turn();
      controller.abort();
      await Promise.all(waits);
    }
    await store.append(
      "a",
      Array.from({ length: 2_000 }, () => entry),
    ); // the slow ones share one array
    expect(heldBytes() - before).toBeLessThan(2 * 1024 * 1024);
    for (const reader of slow) await reader.return?.();
  });
}

function trimming(open: () => Promise<Store>): void {
  test("what is trimmed is OUT_OF_RANGE; the rest keeps its numbers and the log its length", async () => {
    const store = await open();
    await store.append("a", ["0", "1", "2", "3"].map(bytes));
    await store.trim("a", 2);
    await store.trim("a", 1);
    expect(await failure(readAll(store, "a", 1))).toMatchObject({ code: Code.OutOfRange });
    expect(await readAll(store, "a", 2)).toEqual(["2", "3"]);
    expect(await store.append("a", [bytes("4")], { expectedLength: 4 })).toBe(5);
  });

  test("a log trimmed to nothing goes on with its numbers", async () => {
    const store = await open();
    await store.append("a", ["0", "1"].map(bytes));
    await store.trim("a", 99);
    await store.trim("none", 99);
    expect(await failure(readAll(store, "a", 0))).toMatchObject({ code: Code.OutOfRange });
    expect(await readAll(store, "a", 2)).toEqual([]);
    expect(await store.logs("")).toMatchObject([{ name: "a", length: 2 }]);
    expect(await store.append("a", [bytes("2")], { expectedLength: 2 })).toBe(3);
    expect(await readAll(store, "a", 2)).toEqual(["2"]);
  });

  test("a reader that was overtaken is told, and does not jump", async () => {
    const store = await open();
    await store.append("a", ["0", "1", "2"].map(bytes));
    const reader = store.read("a", 0, { follow: true })[Symbol.asyncIterator]();
    expect(text((await reader.next()).value)).toBe("0");
    await store.trim("a", 2);
    expect(await failure(reader.next())).toMatchObject({ code: Code.OutOfRange });
  });
}

function listing(open: () => Promise<Store>): void {
  test("names come in order, by prefix, page by page, with length and time", async () => {
    const store = await open();
    const startMs = Date.now();
    for (const name of ["task/b", "thread/a", "task/a", "task/a/1", "tasks", "Task/a", "task/"]) {
      await store.append(name, [bytes("x"), bytes("y")]);
    }
    const names = ["task/", "task/a", "task/a/1", "task/b"];
    const infos = await store.logs("task/");
    expect(infos.map(({ name }) => name)).toEqual(names);
    for (const { length, lastAppendMs } of infos) {
      expect(length).toBe(2);
      expect(lastAppendMs).toBeGreaterThanOrEqual(startMs - 1);
      expect(lastAppendMs).toBeLessThanOrEqual(Date.now() + 1);
    }
    const paged: string[] = [];
    for (let after = ""; ; after = paged.at(-1) ?? "") {
      const page = await store.logs("task/", { after, limit: 3 });
      paged.push(...page.map(({ name }) => name));
      if (page.length < 3) break;
    }
    expect(paged).toEqual(names);
    expect((await store.logs("")).map(({ name }) => name)).toEqual(["Task/a", ...names, "tasks", "thread/a"]);
    expect(await store.logs("none")).toEqual([]);
    expect(await store.logs("task/", { after: "thread/a" })).toEqual([]);
  });
}

function leasing(open: () => Promise<Store>): void {
  test("a held key is refused; once released it is free, and its revision higher", async () => {
    const store = await open();
    const first = await store.lease("k", bytes("1"), 60_000);
    const thrown = await failure(store.lease("k", bytes("2"), 60_000));
    expect(thrown).toMatchObject({ code: Code.AlreadyExists });
    expect(isLeaseHeld(thrown)).toBe(true);
    const other = await store.lease("k2", bytes(""), 60_000);
    await first.release();
    await first.release();
    const second = await store.lease("k", bytes("2"), 60_000);
    expect(other.revision).toBeGreaterThan(first.revision);
    expect(second.revision).toBeGreaterThan(other.revision);
  });

  test("of those who want a key at once one gets it", async () => {
    const store = await open();
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => store.lease("k", bytes(""), 60_000)));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  test("it ends by itself, never early and at most 250 ms late; then it cannot be renewed, also when another has the key", async () => {
    const store = await open();
    const changes = watch(store, "");
    expect(await changes.next()).toEqual({ case: "current" });
    const startMs = performance.now();
    const lease = await store.lease("k", bytes("v"), 300);
    expect(await changes.next()).toMatchObject({ case: "put", key: "k" });
    expect(await changes.next()).toEqual({ case: "delete", key: "k", revision: lease.revision });
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(299);
    expect(performance.now() - startMs).toBeLessThan(300 + maxLateMs);
    expect(isLeaseLost(await failure(lease.renew()))).toBe(true);
    const next = await store.lease("k", bytes("w"), 60_000);
    const thrown = await failure(lease.renew(bytes("late")));
    expect(thrown).toMatchObject({ code: Code.FailedPrecondition });
    expect(isLeaseLost(thrown)).toBe(true);
    await lease.release(); // which is no longer its to release
    await next.renew();
    changes.stop();
  });

  test("renewing holds it for its whole time again, and can change its value", async () => {
    const store = await open();
    const changes = watch(store, "");
    const startMs = performance.now();
    const lease = await store.lease("k", bytes("0"), 400);
    const clock = await store.lease("clock", bytes(""), 250);
    const isEnd = (change: LeaseChange, key: string) => change.case === "delete" && change.key === key;
    while (!isEnd(await changes.next(), "clock"));
    await lease.renew(bytes("1"));
    const renewedMs = performance.now();
    expect(await changes.next()).toEqual({ case: "put", key: "k", value: bytes("1"), revision: lease.revision });
    while (!isEnd(await changes.next(), "k"));
    expect(performance.now() - renewedMs).toBeGreaterThanOrEqual(399);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(649);
    expect(isLeaseLost(await failure(clock.renew()))).toBe(true);
    changes.stop();
  });

  test("10,000 end on time", async () => {
    const store = await open();
    const changes = watch(store, "many/");
    const dueMs = new Map<string, number>();
    let [earliest, latest] = [0, 0];
    const ends = (async () => {
      for (let count = 0; count < 10_000; ) {
        const change = await changes.next();
        if (change.case !== "delete") continue;
        const lateMs = performance.now() - (dueMs.get(change.key) ?? Number.NaN);
        [earliest, latest] = [Math.min(earliest, lateMs), Math.max(latest, lateMs)];
        count++;
      }
    })();
    for (let wave = 0; wave < 100; wave++) {
      const leases = Array.from({ length: 100 }, (_, index) => {
        const [key, ttlMs] = [`many/${wave}/${index}`, 500 + 10 * index];
        dueMs.set(key, performance.now() + ttlMs);
        return store.lease(key, bytes("v"), ttlMs);
      });
      await Promise.all(leases);
    }
    await ends;
    changes.stop();
    expect(earliest).toBeGreaterThanOrEqual(-1);
    expect(latest).toBeLessThan(maxLateMs);
  });

  test.each([0, 99, storeBounds.maxLeaseTtlMs + 1, Number.NaN])("a time of %d ms is a RangeError", async (ttlMs) => {
    expect(await failure((await open()).lease("k", bytes(""), ttlMs))).toBeInstanceOf(RangeError);
  });

  test("a value that is too large is RESOURCE_EXHAUSTED, taken and renewed; the lease stays as it was", async () => {
    const store = await open();
    const large = new Uint8Array(storeBounds.maxLeaseValueBytes + 1);
    expect(await failure(store.lease("k", large, 60_000))).toMatchObject({ code: Code.ResourceExhausted });
    const lease = await store.lease("k", bytes("v"), 60_000);
    expect(await failure(lease.renew(large))).toMatchObject({ code: Code.ResourceExhausted });
    const changes = watch(store, "");
    expect(await changes.next()).toMatchObject({ case: "put", value: bytes("v") });
    changes.stop();
  });
}

function watching(open: () => Promise<Store>): void {
  test("first what is there, then that this was all, then what changes; of its prefix alone", async () => {
    const store = await open();
    const first = await store.lease("w/1", bytes("1"), 60_000);
    const second = await store.lease("w/2", bytes("2"), 60_000);
    await store.lease("v", bytes("v"), 60_000);
    const changes = watch(store, "w/");
    const snapshot = [await changes.next(), await changes.next()];
    expect(snapshot).toContainEqual({ case: "put", key: "w/1", value: bytes("1"), revision: first.revision });
    expect(snapshot).toContainEqual({ case: "put", key: "w/2", value: bytes("2"), revision: second.revision });
    expect(await changes.next()).toEqual({ case: "current" });
    await second.renew(bytes("2b"));
    expect(await changes.next()).toEqual({ case: "put", key: "w/2", value: bytes("2b"), revision: second.revision });
    await store.lease("v2", bytes("v"), 60_000);
    await first.release();
    expect(await changes.next()).toEqual({ case: "delete", key: "w/1", revision: first.revision });
    changes.stop();
  });

  test("no change is lost between: whoever follows while leases come and go knows in the end who lives", async () => {
    const store = await open();
    const random = createRandom(seed);
    const stops: (() => Promise<Map<string, string>>)[] = [];
    const leases = new Map<string, { value: string; lease: Awaited<ReturnType<Store["lease"]>> }>();
    for (let step = 0; step < 2_000; step++) {
      if (step % 100 === 0) stops.push(follow(store, "w/", stops.length % 2 === 0));
      const [key, value] = [`w/${random(50)}`, `${step}`];
      const held = leases.get(key);
      if (held === undefined) leases.set(key, { value, lease: await store.lease(key, bytes(value), 60_000) });
      else if (random(2) === 0) {
        await held.lease.renew(bytes(value));
        held.value = value;
      } else {
        await held.lease.release();
        leases.delete(key);
      }
      if (random(5) === 0) await turn();
    }
    await store.lease("w/end", bytes("end"), 60_000);
    const live = new Map([...leases].map(([key, { value }]) => [key, value])).set("w/end", "end");
    for (const stop of stops) expect(await stop()).toEqual(live);
  });

  test("an abort ends it with its reason, and leaves nothing behind", async () => {
    const store = await open();
    await store.lease("k", new Uint8Array(10_000), 60_000);
    const reason = new Error("enough");
    const round = async () => {
      const controller = new AbortController();
      const watches = Array.from({ length: 50 }, async () => {
        for await (const change of store.watch("", { signal: controller.signal })) if (change.case === "current") continue;
      });
      await turn();
      controller.abort(reason);
      for (const watch of watches) expect(await failure(watch)).toBe(reason);
    };
    for (let rounds = 0; rounds < 50; rounds++) await round(); // what is made once has been
    const before = heldBytes();
    for (let rounds = 0; rounds < 100; rounds++) await round();
    expect(heldBytes() - before).toBeLessThan(1024 * 1024);
  });

  test("a watcher that does not read holds one state a key", async () => {
    const store = await open();
    const changes = watch(store, "");
    expect(await changes.next()).toEqual({ case: "current" });
    const lease = await store.lease("k", bytes(""), 60_000);
    await lease.renew(new Uint8Array(10_000));
    const before = heldBytes();
    for (let value = 0; value < 1_000; value++) await lease.renew(new Uint8Array(10_000).fill(value));
    expect(heldBytes() - before).toBeLessThan(1024 * 1024);
    let last = await changes.next();
    while (last.case !== "put" || last.value[0] !== 999 % 256) last = await changes.next();
    changes.stop();
  });
}

interface Watch {
  next(): Promise<LeaseChange>;
  stop(): void;
}

/** A watch that has begun. */
function watch(store: Store, prefix: string): Watch {
  const controller = new AbortController();
  const changes = store.watch(prefix, { signal: controller.signal })[Symbol.asyncIterator]();
  let ahead: Promise<IteratorResult<LeaseChange>> | undefined = changes.next();
  return {
    async next() {
      const { value, done } = await (ahead ?? changes.next());
      ahead = undefined;
      if (done) throw new Error("a watch does not end");
      return value;
    },
    stop: () => controller.abort(),
  };
}

/** Builds the map of live leases from a watch, until it has seen the one named `end`. */
function follow(store: Store, prefix: string, slow: boolean): () => Promise<Map<string, string>> {
  const live = new Map<string, { value: string; revision: bigint }>();
  const changes = watch(store, prefix);
  const following = (async () => {
    while (!live.has(`${prefix}end`)) {
      const change = await changes.next();
      if (slow) await turn();
      if (change.case === "put") live.set(change.key, { value: text(change.value), revision: change.revision });
      if (change.case === "delete" && (live.get(change.key)?.revision ?? 0n) <= change.revision) live.delete(change.key);
    }
    changes.stop();
    return new Map([...live].map(([key, { value }]) => [key, value]));
  })();
  return () => following;
}

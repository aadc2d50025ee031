import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setImmediate as nextTick } from "node:timers/promises";
import { Code } from "@connectrpc/connect";
import Database from "better-sqlite3";
import { createSqliteStore, type SqliteStoreOptions, type Store } from "../src/store/index.ts";
import { newPath, openStore } from "./support/sqlite.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

async function readAll(store: Store, log: string, from = 0): Promise<string[]> {
  const entries: string[] = [];
  for await (const entry of store.read(log, from)) entries.push(new TextDecoder().decode(entry));
  return entries;
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
}

describe("options", () => {
  test.each<[options: Partial<SqliteStoreOptions>, message: RegExp]>([
    [{ path: "" }, /path is ""/],
    [{ path: " store.db" }, /path is " store.db"; it must be the name of a file, without spaces around it/],
    [{ path: "store.db\n" }, /path is/],
    [{ path: "a\0b" }, /path is/],
    [{ busyTimeoutMs: -1 }, /busyTimeoutMs is -1; it must be a whole number from 0 to 60000/],
    [{ busyTimeoutMs: 60_001 }, /busyTimeoutMs is 60001/],
    [{ busyTimeoutMs: Number.NaN }, /busyTimeoutMs is NaN/],
    [{ maxWaitingOperations: 0 }, /maxWaitingOperations is 0/],
    [{ maxWaitingBytes: 0.5 }, /maxWaitingBytes is 0.5/],
    [{ maxEmptiedLogs: 0 }, /maxEmptiedLogs is 0/],
  ])("%j is a RangeError", async (options, message) => {
    const thrown = await failure(createSqliteStore({ path: newPath(), ...options }));
    expect(thrown).toBeInstanceOf(RangeError);
    expect(String(thrown)).toMatch(message);
  });
});

describe("the file", () => {
  test("what was written is there when it is opened again: entries, trims, lengths, times, leases", async () => {
    const path = newPath();
    const first = await openStore({ path });
    await first.append("a", ["0", "1", "2"].map(bytes));
    await first.append("b", [bytes("x")]);
    await first.trim("a", 1);
    await first.trim("b", 1);
    const lease = await first.lease("k", bytes("v"), 60_000);
    const infos = await first.logs("");
    await first.close();
    expect(existsSync(`${path}-wal`)).toBe(false);
    const second = await openStore({ path });
    expect(await readAll(second, "a", 1)).toEqual(["1", "2"]);
    expect(await failure(readAll(second, "a"))).toMatchObject({ code: Code.OutOfRange });
    expect(await second.logs("")).toEqual(infos);
    expect(await second.append("b", [bytes("y")], { expectedLength: 1 })).toBe(2);
    const change = await second.watch("", { signal: new AbortController().signal })[Symbol.asyncIterator]().next();
    expect(change.value).toEqual({ case: "put", key: "k", value: bytes("v"), revision: lease.revision });
  });

  test("its folder is made for its owner alone, and so is the file", async () => {
    const path = join(dirname(newPath()), "new", "deep", "store.db");
    await openStore({ path });
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
    for (const file of [path, `${path}-wal`, `${path}-shm`]) expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test.each<[what: string, write: (path: string) => void, message: RegExp]>([
    ["no SQLite file", (path) => writeFileSync(path, "a diary, and a long one at that".repeat(200)), /is no SQLite file$/],
    [
      "an SQLite file of another program",
      (path) => new Database(path).exec("CREATE TABLE t (x)").close(),
      /but no Convoke store$/,
    ],
    ["an empty SQLite file with another program's id", (path) => write(path, "application_id = 7"), /but no Convoke store$/],
    ["a folder", (path) => mkdirSync(path), /cannot be opened: unable to open database file/],
  ])("%s is refused, and stays as it was", async (_, make, message) => {
    const path = newPath();
    make(path);
    const before = statSync(path).isFile() ? readFileSync(path) : undefined;
    const thrown = await failure(createSqliteStore({ path }));
    expect(thrown).toMatchObject({ code: Code.FailedPrecondition, rawMessage: expect.stringMatching(message) });
    if (before !== undefined) expect(readFileSync(path).equals(before)).toBe(true);
  });

  test("a store of a newer version is refused, and an empty file is brought from version 0 to this one", async () => {
    const path = newPath();
    writeFileSync(path, "");
    await (await openStore({ path })).close();
    const file = new Database(path);
    const version = Number(file.pragma("user_version", { simple: true }));
    expect(version).toBeGreaterThanOrEqual(1);
    file.pragma(`user_version = ${version + 1}`);
    file.close();
    expect(await failure(createSqliteStore({ path }))).toMatchObject({
      code: Code.FailedPrecondition,
      rawMessage: expect.stringMatching(
        new RegExp(`is a store of version ${version + 1}, and this Convoke knows versions up to ${version}$`),
      ),
    });
  });

  test("one that meets another just making the file waits for it", async () => {
    const path = newPath();
    const other = new Database(path);
    other.exec("BEGIN IMMEDIATE");
    setTimeout(() => other.exec("COMMIT").close(), 500); // whenever that is, the store opens; at once refused, it would not
    await (await openStore({ path })).append("a", [bytes("x")]);
  });

  test("several that open a new file at once make one store", async () => {
    const path = newPath();
    const stores = await Promise.all(Array.from({ length: 5 }, () => openStore({ path })));
    const lengths = await Promise.all(stores.map((store) => store.append("a", [bytes("x")])));
    expect(lengths.sort()).toEqual([1, 2, 3, 4, 5]);
  });

  test("the WAL stays bounded while readers stand still in the middle of a page", async () => {
    const path = newPath();
    const store = await openStore({ path });
    await store.append("a", ["0", "1", "2"].map(bytes));
    const reader = store.read("a", 0)[Symbol.asyncIterator]();
    await reader.next();
    for (let round = 0; round < 40; round++) {
      await Promise.all(Array.from({ length: 20 }, (_, log) => store.append(`b/${log}`, [new Uint8Array(100_000)])));
    }
    expect(statSync(`${path}-wal`).size).toBeLessThan(20 * 1024 * 1024); // of 80 that were written
    expect(new TextDecoder().decode((await reader.next()).value)).toBe("1");
  });

  test("a long log is read between other work, and deleted between other appends", async () => {
    const store = await openStore();
    for (let round = 0; round < 4; round++) {
      await store.append(
        "a",
        Array.from({ length: 5_000 }, () => bytes("x")),
      );
    }
    let turns = 0;
    const count = () => {
      turns++;
      counting = setImmediate(count);
    };
    let counting = setImmediate(count);
    expect(await readAll(store, "a")).toHaveLength(20_000);
    clearImmediate(counting);
    expect(turns).toBeGreaterThan(50);
    await store.trim("a", 20_000);
    for (let number = 1; number <= 100; number++) expect(await store.append("b", [bytes("y")])).toBe(number);
  });

  test("what was trimmed makes room: a log that is trimmed as it grows needs no more of the file", async () => {
    const path = newPath();
    const store = await openStore({ path });
    const file = new Database(path, { readonly: true });
    const isTrimming = file.prepare("SELECT 1 FROM trims").pluck();
    for (let round = 1; round <= 60; round++) {
      const length = await store.append(
        "a",
        Array.from({ length: 100 }, () => new Uint8Array(10_000)),
      );
      await store.trim("a", length);
      while (round % 10 === 0 && isTrimming.get()) await nextTick(); // what is trimmed goes in the background
    }
    expect(statSync(path).size).toBeLessThan(30 * 1024 * 1024); // of 60 that were written
    await store.close();
    const rest = file.prepare("SELECT count(*) FROM entries").pluck().get();
    file.close();
    expect(rest).toBe(0);
  });
});

function write(path: string, pragma: string): void {
  const file = new Database(path);
  file.pragma(pragma);
  file.close();
}

describe("bounds", () => {
  test("of logs that were trimmed to nothing the one that was emptied first is forgotten, if it stayed so", async () => {
    const store = await openStore({ maxEmptiedLogs: 2 });
    for (const name of ["a", "b", "c", "d"]) await store.append(name, [bytes("x")]);
    for (const name of ["a", "b"]) await store.trim(name, 1);
    await store.append("a", [bytes("y")]);
    for (const name of ["c", "d"]) await store.trim(name, 1);
    expect((await store.logs("")).map(({ name, length }) => `${name} ${length}`)).toEqual(["a 2", "c 1", "d 1"]);
    expect(await readAll(store, "a", 1)).toEqual(["y"]);
  });

  test("more than may wait for the disk is RESOURCE_EXHAUSTED, and room comes by itself", async () => {
    const full = { code: Code.ResourceExhausted };
    const store = await openStore({ maxWaitingOperations: 3, maxWaitingBytes: 1_000 });
    const waiting = [1, 2, 3].map(() => store.append("a", [bytes("x")]));
    await expect(store.append("a", [bytes("y")])).rejects.toMatchObject(full);
    await Promise.all(waiting);
    const large = store.append("a", [new Uint8Array(600)]);
    await expect(store.append("b", [new Uint8Array(600)])).rejects.toMatchObject(full);
    await large;
    await store.append("b", [new Uint8Array(600)]);
    await expect(store.append("b", [new Uint8Array(1_001)])).rejects.toMatchObject(full);
    expect((await store.logs("")).map(({ length }) => length)).toEqual([4, 1]);
  });

  test("a file that another program keeps is UNAVAILABLE for writing and there for reading; then all goes on", async () => {
    const path = newPath();
    const store = await openStore({ path, busyTimeoutMs: 50 });
    await store.append("a", [bytes("0")]);
    const other = new Database(path);
    other.exec("BEGIN IMMEDIATE");
    await expect(store.append("a", [bytes("1")])).rejects.toMatchObject({ code: Code.Unavailable });
    expect(await readAll(store, "a")).toEqual(["0"]);
    other.exec("ROLLBACK");
    other.close();
    expect(await store.append("a", [bytes("1")], { expectedLength: 1 })).toBe(2);
  });
});

describe("close", () => {
  const closed = { code: Code.Unavailable, rawMessage: "the store is closed" };

  test("it writes what was accepted, and can be repeated", async () => {
    const path = newPath();
    const store = await openStore({ path });
    const appends = Array.from({ length: 100 }, (_, index) => store.append("a", [bytes(`${index}`)]));
    await Promise.all([store.close(), store.close()]);
    expect(await Promise.all(appends)).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
    await store.close();
    expect(await readAll(await openStore({ path }), "a")).toHaveLength(100);
  });

  test("calls after it are UNAVAILABLE, and so are readers and watchers that wait", async () => {
    const store = await openStore();
    await store.append("a", ["0", "1"].map(bytes));
    const lease = await store.lease("k", bytes(""), 60_000);
    const follower = store.read("b", 0, { follow: true })[Symbol.asyncIterator]();
    const changes = store.watch("none/", { signal: new AbortController().signal })[Symbol.asyncIterator]();
    await changes.next();
    const waiting = [follower.next(), changes.next()].map(failure);
    await store.close();
    for (const wait of waiting) expect(await wait).toMatchObject(closed);
    const calls = [
      store.append("a", [bytes("x")]),
      readAll(store, "a"),
      store.trim("a", 1),
      store.logs(""),
      store.lease("l", bytes(""), 1_000),
      store.watch("", { signal: new AbortController().signal })[Symbol.asyncIterator]().next(),
      lease.renew(),
      lease.release(),
    ];
    for (const call of calls) expect(await failure(call)).toMatchObject(closed);
  });
});

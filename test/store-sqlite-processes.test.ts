import { readdirSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { Code } from "@connectrpc/connect";
import Database from "better-sqlite3";
import { isLeaseHeld, type LeaseChange, type Store } from "../src/store/index.ts";
import { type Process, startProgram } from "./support/process.ts";
import { createRandom, seed } from "./support/random.ts";
import { newPath, openStore } from "./support/sqlite.ts";

const program = (name: string, ...args: string[]) => [
  process.execPath,
  fileURLToPath(new URL(`fixtures/store/${name}.ts`, import.meta.url)),
  ...args,
];

async function readAll(store: Store, log: string): Promise<string[]> {
  const entries: string[] = [];
  for await (const entry of store.read(log, 0)) entries.push(Buffer.from(entry).toString());
  return entries;
}

async function kill({ child, exit }: Process): Promise<void> {
  child.kill("SIGKILL");
  await exit;
}

test("kill -9 in the middle of appends, again and again: what was acknowledged is there, without gaps", async () => {
  const random = createRandom(seed);
  const path = newPath();
  const acknowledged = new Map<string, number>();
  for (let round = 0; round < 12; round++) {
    const appending = startProgram(program("append", path, "20"));
    for (let lines = 1 + random(2_000); lines > 0; lines -= 100) await appending.seen(/(?:log\/\d+ \d+\n){1,100}/);
    await kill(appending);
    const { stdout } = await appending.exit;
    for (const [, log = "", length] of stdout.matchAll(/^(log\/\d+) (\d+)\n/gm)) acknowledged.set(log, Number(length));
  }
  const store = await openStore({ path });
  expect(acknowledged.size).toBe(20);
  for (const [log, length] of acknowledged) {
    const entries = await readAll(store, log);
    expect(entries.length).toBeGreaterThanOrEqual(length);
    expect(entries).toEqual(entries.map((_, number) => `${log} ${number}`));
  }
  await store.close();
  const file = new Database(path, { readonly: true });
  expect(file.pragma("integrity_check", { simple: true })).toBe("ok");
  file.close();
}, 120_000);

test("of two processes that append to one log by expected lengths none loses or doubles an entry", async () => {
  const path = newPath();
  const sharing = ["one", "other"].map((name) => startProgram(program("share", path, "log", name, "300")));
  for (const { exit } of sharing)
    expect(await exit).toMatchObject({ code: 0, stdout: expect.stringMatching(/^conflicts \d+\n$/) });
  const entries = await readAll(await openStore({ path }), "log");
  expect(entries).toHaveLength(600);
  for (const name of ["one", "other"]) {
    expect(entries.filter((entry) => entry.startsWith(name))).toEqual(
      Array.from({ length: 300 }, (_, index) => `${name} ${index}`),
    );
  }
}, 60_000);

test("a follower sees what another process appends", async () => {
  const path = newPath();
  const store = await openStore({ path });
  const following = store.read("log/0", 0, { follow: true })[Symbol.asyncIterator]();
  const first = following.next();
  const appending = startProgram(program("append", path, "2"));
  expect(Buffer.from((await first).value).toString()).toBe("log/0 0");
  for (let number = 1; number < 500; number++) {
    expect(Buffer.from((await following.next()).value).toString()).toBe(`log/0 ${number}`);
  }
  await following.return?.();
  await kill(appending);
});

test("a log that another process has trimmed and forgotten is OUT_OF_RANGE for its followers, also when it has begun anew", async () => {
  const path = newPath();
  const [store, other] = [await openStore({ path }), await openStore({ path, maxEmptiedLogs: 1 })];
  for (const log of ["a", "b"]) await other.append(log, [Buffer.from("0"), Buffer.from("1")]);
  const following = store.read("a", 0, { follow: true })[Symbol.asyncIterator]();
  await following.next();
  await following.next();
  const refused = expect(following.next()).rejects.toMatchObject({ code: Code.OutOfRange }); // which may be before the append below is done
  await other.trim("a", 2);
  await other.trim("b", 2);
  expect(await other.append("a", [Buffer.from("new")])).toBe(1);
  await refused;
});

describe("leases over processes", () => {
  /** Changes of leases, from the first. */
  function watch(store: Store): () => Promise<LeaseChange> {
    const changes = store.watch("", { signal: new AbortController().signal })[Symbol.asyncIterator]();
    const first = changes.next();
    let isFirst = true;
    return async () => {
      const { value } = await (isFirst ? first : changes.next());
      isFirst = false;
      return value;
    };
  }

  test("a lease is seen, held against others, changed, and lives until its holder's time is over after a kill", async () => {
    const path = newPath();
    const store = await openStore({ path });
    const change = watch(store);
    expect(await change()).toEqual({ case: "current" });
    const holder = startProgram(program("lease", path, "key", "3000"), { input: "open" });
    const revision = BigInt((await holder.seen(/revision (\d+)\n/))[1] ?? "");
    expect(await change()).toMatchObject({ case: "put", key: "key", revision });
    expect(isLeaseHeld(await store.lease("key", new Uint8Array(), 1_000).catch((thrown: unknown) => thrown))).toBe(true);
    const renewedMs = Date.now();
    holder.type("again\n");
    await holder.seen(/renewed\n/);
    expect(await change()).toMatchObject({ case: "put", value: new Uint8Array(Buffer.from("again")), revision });
    await kill(holder);
    expect(await change()).toEqual({ case: "delete", key: "key", revision });
    expect(Date.now() - renewedMs).toBeGreaterThanOrEqual(3_000);
    expect((await store.lease("key", new Uint8Array(), 1_000)).revision).toBeGreaterThan(revision);
  });

  test("a holder that was stopped for longer than its time has lost the lease, though nobody else wanted it", async () => {
    const path = newPath();
    const change = watch(await openStore({ path }));
    expect(await change()).toEqual({ case: "current" }); // its end is not to be over before somebody looks
    const holder = startProgram(program("lease", path, "key", "300"), { input: "open" });
    await holder.seen(/revision/);
    holder.child.kill("SIGSTOP");
    while ((await change()).case !== "delete");
    holder.child.kill("SIGCONT");
    holder.type("late\n");
    await holder.seen(/lost\n/);
    await kill(holder);
  });

  describe("a lease that ends with its process", () => {
    const dayMs = "86400000";
    const files = (path: string) => readdirSync(dirname(path)).sort();

    test("is free after a kill for whoever opens the store next, and for those that have it open", async () => {
      const path = newPath();
      const open = await openStore({ path });
      const change = watch(open);
      expect(await change()).toEqual({ case: "current" });
      for (const key of ["one", "other"]) {
        const holder = startProgram(program("lease", path, key, dayMs, "process"), { input: "open" });
        const revision = BigInt((await holder.seen(/revision (\d+)\n/))[1] ?? "");
        expect(await change()).toMatchObject({ case: "put", key, revision });
        await kill(holder);
        if (key === "other") expect(await change()).toEqual({ case: "delete", key, revision });
        else {
          const next = await (await openStore({ path })).lease(key, new Uint8Array(), 1_000);
          for (let seen = await change(); seen.case !== "delete" || seen.revision !== next.revision; ) seen = await change();
        }
      }
      await open.close();
    });

    test("is held while its process lives, asleep or not, and a lease without it also after that", async () => {
      const path = newPath();
      const holders = ["process", ""].map((ends) =>
        startProgram(program("lease", path, `key/${ends}`, dayMs, ends), { input: "open" }),
      );
      for (const holder of holders) await holder.seen(/revision/);
      const [sleeper, gone] = holders;
      if (sleeper === undefined || gone === undefined) throw new Error("two were started");
      sleeper.child.kill("SIGSTOP");
      await kill(gone);
      for (let opened = 0; opened < 2; opened++) {
        const store = await openStore({ path });
        for (const key of ["key/process", "key/"]) {
          const thrown = await store.lease(key, new Uint8Array(), 1_000).catch((error: unknown) => error);
          expect({ key, isHeld: isLeaseHeld(thrown) }).toEqual({ key, isHeld: true });
        }
        await store.close();
      }
      sleeper.child.kill("SIGCONT");
      sleeper.type("awake\n");
      await sleeper.seen(/renewed\n/);
      await kill(sleeper);
    });

    test("leaves nothing beside the file, neither closed nor killed", async () => {
      const path = newPath();
      const killed = startProgram(program("lease", path, "killed", dayMs, "process"), { input: "open" });
      await killed.seen(/revision/);
      await kill(killed);
      expect(files(path)).toContainEqual(expect.stringMatching(/^store\.db-alive-/));
      const store = await openStore({ path });
      await store.lease("closed", new Uint8Array(), { ttlMs: 60_000, endsWithProcess: true });
      expect(files(path).filter((file) => file.includes("-alive-"))).toHaveLength(1);
      await store.close();
      expect(files(path)).toEqual(["store.db"]);
    });

    test("is like others for stores of one process: each lives until it is closed", async () => {
      const path = newPath();
      const [one, other] = [await openStore({ path }), await openStore({ path })];
      const lease = await one.lease("key", new Uint8Array(), { ttlMs: 60_000, endsWithProcess: true });
      await other.lease("other", new Uint8Array(), { ttlMs: 60_000, endsWithProcess: true });
      await (await openStore({ path })).close();
      expect(isLeaseHeld(await other.lease("key", new Uint8Array(), 1_000).catch((error: unknown) => error))).toBe(true);
      await lease.renew();
    });
  });

  test("revisions rise over all time, also when all leases have ended and the store was closed", async () => {
    const path = newPath();
    let last = 0n;
    for (let run = 0; run < 3; run++) {
      const store = await openStore({ path });
      const lease = await store.lease(`key/${run}`, new Uint8Array(), 60_000);
      expect(lease.revision).toBeGreaterThan(last);
      last = lease.revision;
      await lease.release();
      await store.close();
    }
  });

  test("a lease that ends farther away than any can, written under a wrong clock, lasts for its whole time from then", async () => {
    const path = newPath();
    const store = await openStore({ path });
    const change = watch(store);
    const { revision } = await store.lease("key", new Uint8Array(), 400);
    const clock = new Database(path);
    clock.exec("UPDATE leases SET end_ms = end_ms + 365 * 86400000");
    clock.close();
    while ((await change()).case !== "delete");
    expect((await store.lease("key", new Uint8Array(), 400)).revision).toBeGreaterThan(revision);
  });

  test("a watcher of a process that has missed more ends than are remembered hears of each", async () => {
    const path = newPath();
    const store = await openStore({ path });
    const holder = await openStore({ path });
    const kept = await holder.lease("kept", new Uint8Array(), 60_000);
    const gone = await holder.lease("gone", new Uint8Array(), 60_000);
    const change = watch(store);
    while ((await change()).case !== "current");
    const forget = new Database(path); // as if ten thousand others had come and gone while this process slept
    forget.exec("BEGIN IMMEDIATE; DELETE FROM leases WHERE key = 'gone'; UPDATE counters SET change = change + 20000; COMMIT");
    forget.close();
    const seen = [await change(), await change()];
    expect(seen).toContainEqual({ case: "put", key: "kept", value: new Uint8Array(), revision: kept.revision });
    expect(seen).toContainEqual({ case: "delete", key: "gone", revision: gone.revision });
  });
});

test("followers, watchers and leases keep no process alive; an append that was accepted does until it is written", async () => {
  const path = newPath();
  expect(await startProgram(program("idle", path)).exit).toMatchObject({ code: 0, stderr: "" });
  expect(await readAll(await openStore({ path }), "last")).toEqual(["words"]);
});

test("when the writing thread ends, what waits is UNAVAILABLE, and the store goes on with another", async () => {
  const path = newPath();
  const { code, stdout, stderr } = await startProgram(program("crash", path)).exit;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const [codes, length] = stdout.trim().split("\n");
  expect(JSON.parse(codes ?? "")).toContain(Code.Unavailable);
  expect(length).toBe("length 2");
  expect(await readAll(await openStore({ path }), "a")).toEqual(["0", "1"]);
});

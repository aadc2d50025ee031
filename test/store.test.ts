import { Code } from "@connectrpc/connect";
import { createMemoryStore } from "../src/store/index.ts";
import { newPath, openStore } from "./support/sqlite.ts";
import { describeStore } from "./support/store-contract.ts";

describeStore("in-process store", async () => createMemoryStore());
describeStore("SQLite store", () => openStore());
describeStore("SQLite store of two openings, one that writes and one that reads", async () => {
  const path = newPath();
  const [writing, reading] = [await openStore({ path }), await openStore({ path })];
  const { append, lease } = writing;
  const { durability, read, trim, logs, watch } = reading;
  return { durability, append, lease, read, trim, logs, watch };
});

describe("the in-process store is bounded", () => {
  const full = { code: Code.ResourceExhausted };
  const entry = new Uint8Array(1_000);

  test("in bytes: what is trimmed and released makes room", async () => {
    const store = createMemoryStore({ maxBytes: 2_500 });
    await store.append("a", [entry]);
    await expect(store.append("a", [entry, entry])).rejects.toMatchObject(full);
    const lease = await store.lease("k", entry, 60_000);
    await expect(lease.renew(entry)).rejects.toMatchObject(full); // for a moment both values are there
    await expect(store.append("b", [entry])).rejects.toMatchObject(full);
    expect(await store.logs("")).toMatchObject([{ name: "a", length: 1 }]);
    await lease.release();
    await store.append("b", [entry]);
    await store.trim("a", 1);
    await store.append("b", [entry]);
  });

  test("in logs: the first that was trimmed to nothing makes room, unless it is followed", async () => {
    const store = createMemoryStore({ maxLogs: 3 });
    for (const name of ["a", "b", "c"]) await store.append(name, [entry]);
    await expect(store.append("d", [entry])).rejects.toMatchObject(full);
    for (const name of ["a", "b"]) await store.trim(name, 1);
    const follower = store.read("a", 1, { follow: true })[Symbol.asyncIterator]();
    const next = follower.next();
    await store.append("d", [entry]);
    expect((await store.logs("")).map(({ name }) => name)).toEqual(["a", "c", "d"]);
    await expect(store.append("e", [entry])).rejects.toMatchObject(full);
    await store.append("a", [entry]);
    expect((await next).value).toBe(entry);
  });

  test("in leases", async () => {
    const store = createMemoryStore({ maxLeases: 1 });
    const lease = await store.lease("a", entry, 60_000);
    await expect(store.lease("b", entry, 60_000)).rejects.toMatchObject(full);
    await lease.release();
    await store.lease("b", entry, 60_000);
  });
});

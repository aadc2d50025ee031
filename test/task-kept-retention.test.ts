import { pino } from "pino";
import { createMemoryStore, type Store } from "../src/index.ts";
import { Retention } from "../src/task/retention.ts";
import { openStore } from "./support/sqlite.ts";

const hourMs = 60 * 60 * 1000;
const entry = new Uint8Array([1]);

/** A store whose logs were last appended to so many milliseconds ago. */
function aged(store: Store, ages: Readonly<Record<string, number>>): Store {
  const nowMs = Date.now();
  const logs: Store["logs"] = async (prefix, options) =>
    (await store.logs(prefix, options)).map((info) => ({ ...info, lastAppendMs: nowMs - (ages[info.name] ?? 0) }));
  return { ...store, logs };
}

function retention(store: Store, limits: { keptTaskTtlMs: number; maxKeptTasks: number }): Retention {
  return new Retention({ store, limits, log: pino({ level: "silent" }), signal: new AbortController().signal });
}

async function kept(store: Store): Promise<string[]> {
  const names: string[] = [];
  for (const { name } of await store.logs("")) {
    const entries = store.read(name, 0)[Symbol.asyncIterator]();
    const isThere = await entries.next().then(
      ({ done }) => done !== true,
      () => false,
    );
    if (isThere) names.push(name);
  }
  return names;
}

async function fill(store: Store, names: readonly string[]): Promise<void> {
  for (const name of names) await store.append(name, [entry, entry]);
}

describe.each<[string, () => Promise<Store>]>([
  ["an in-process store", async () => createMemoryStore()],
  ["an SQLite file", () => openStore()],
])("tasks in %s", (_name, open) => {
  test("and conversations are forgotten after their time; other logs stay", async () => {
    const store = await open();
    const ages = { "task/a/1": 3 * hourMs, "task/a/2": hourMs, "conversation/a/1": 3 * hourMs, "thread/x": 99 * hourMs };
    await fill(store, Object.keys(ages));
    await retention(aged(store, ages), { keptTaskTtlMs: 2 * hourMs, maxKeptTasks: 10 }).sweep();
    expect(await kept(store)).toEqual(["task/a/2", "thread/x"]);
  });

  test("are forgotten when there are too many, the oldest first, with the second walk", async () => {
    const store = await open();
    const ages = Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`task/a/${index}`, (index + 1) * hourMs]));
    await fill(store, Object.keys(ages));
    const walks = retention(aged(store, ages), { keptTaskTtlMs: 100 * hourMs, maxKeptTasks: 4 });
    await walks.sweep();
    expect(await kept(store)).toHaveLength(10);
    await walks.sweep();
    expect(await kept(store)).toEqual(["task/a/0", "task/a/1", "task/a/2", "task/a/3"]);
  });

  test("are left to the server that walks through them", async () => {
    const store = await open();
    const ages = { "task/a/1": 3 * hourMs };
    await fill(store, Object.keys(ages));
    const lease = await store.lease("retention/tasks", entry, 60_000);
    const walks = retention(aged(store, ages), { keptTaskTtlMs: hourMs, maxKeptTasks: 4 });
    await walks.sweep();
    expect(await kept(store)).toEqual(["task/a/1"]);
    await lease.release();
    await walks.sweep();
    expect(await kept(store)).toEqual([]);
  });
});

import { setImmediate as nextTurn } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { TaskLogEntrySchema } from "../src/contract/index.ts";
import { type Agents, createMemoryStore, Status, type Store } from "../src/index.ts";
import { holdAnswers } from "./support/held-store.ts";
import { createCounting, createTally, reach, serve, task, textOf } from "./support/kept-tasks.ts";
import { startServer } from "./support/server.ts";
import { newPath, openStore } from "./support/sqlite.ts";

test.each([1, 3])(
  "a task that is sent 100 times at once, to %d servers of one store, runs once, and all have its answer",
  async (count) => {
    const { agent, runs, open } = createCounting();
    const path = newPath();
    const servers: Agents[] = [];
    for (let server = 0; server < count; server++) servers.push(await serve(agent, await openStore({ path })));
    const seen = createTally();
    const answers = Array.from({ length: 100 }, async (_, send) => {
      const server = servers[send % count] as Agents; // there are so many
      return send < 50 ? await textOf(server, seen.note) : (await server.process(task)).content;
    });
    await seen.times("run 1", 50);
    open();
    expect(new Set(await Promise.all(answers))).toEqual(new Set(["run 1, whole"]));
    expect(runs).toEqual(["t-1"]);
  },
);

test("who looks at a task that is about to run does it no harm", async () => {
  const { agent, runs, open } = createCounting();
  const { store, hold, release } = holdAnswers(await openStore());
  const server = await serve(agent, store);
  const begun = hold();
  const answer = server.process(task);
  await begun;
  const look = server.get(task.taskId);
  await expect(server.get("none")).rejects.toThrow('there is no task "none"'); // which came after the look
  release();
  open();
  expect((await answer).content).toBe("run 1, whole");
  expect((await look).taskId).toBe(task.taskId);
  expect(runs).toHaveLength(1);
});

test("who looks at a task of another server takes it from nobody who waits for it there", async () => {
  const { agent, open } = createCounting();
  const path = newPath();
  const [running, asked] = [await serve(agent, await openStore({ path })), await serve(agent, await openStore({ path }))];
  const answer = running.process(task);
  const seen = createTally();
  void textOf(running, seen.note);
  await seen.times("run 1", 1);
  const look = asked.get(task.taskId);
  const read = textOf(asked);
  expect((await look).status).toBe(Status.RUNNING);
  open();
  expect(await read).toBe("run 1, whole");
  expect((await answer).content).toBe("run 1, whole");
});

test("who asks for a task that is about to be taken over does it no harm", async () => {
  const { agent, runs, open } = createCounting();
  const path = newPath();
  const first = await startServer({ agents: [agent], store: await openStore({ path }) });
  const { store, hold, release } = holdAnswers(await openStore({ path }));
  const successor = await serve(agent, store);
  const seen = createTally();
  void textOf(reach(first), seen.note).catch(() => {}); // its server closes
  await seen.times("run 1", 1);
  const read = textOf(successor, seen.note);
  await seen.times("run 1", 2);
  const restarted = hold();
  await first.close({ graceMs: 0 });
  await restarted;
  const another = textOf(successor, seen.note);
  await expect(successor.get("none")).rejects.toThrow('there is no task "none"'); // which came after it
  release();
  await seen.times("run 2", 2);
  open();
  expect(await Promise.all([read, another])).toEqual(Array(2).fill("run 1run 2, whole"));
  expect(runs).toHaveLength(2);
});

test.each<[how: string, late: string]>([
  ["another server gives back its key", ""],
  ["the answer that its key is free comes late", ""],
  ["the answer comes late, and an append of the one that is gone before it", ", late"],
])("a task whose server is gone is taken over, and once, while %s", async (how, appended) => {
  const { agent, open } = createCounting();
  const store = createMemoryStore();
  const changes = watch(store);
  const first = await startServer({ agents: [agent], store });
  const seen = createTally();
  void textOf(reach(first), seen.note).catch(() => {}); // its server closes
  await seen.times("run 1", 1);
  const key = await changes.next("runner/", "put");
  await first.close({ graceMs: 0 });
  const lease = how.startsWith("another") ? await store.lease(key, new Uint8Array(), 60_000) : undefined;
  let answered = () => {};
  const answer = new Promise<void>((resolve) => {
    answered = resolve;
  });
  let tell = () => {};
  const told = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const late: Store = {
    ...store,
    async *watch(...call) {
      for await (const change of store.watch(...call)) {
        for (let turn = 0; turn < 10; turn++) await nextTurn(); // as over a network: what a release is answered with may come first
        yield change;
      }
    },
    lease: (asked, ...rest) =>
      store.lease(asked, ...rest).finally(async () => {
        if (asked !== key) return;
        answered();
        await told;
      }),
  };
  const read = textOf(await serve(agent, late), seen.note);
  await answer;
  await lease?.release();
  await changes.next("note/", "delete"); // so it has heard that the one that ran it is gone
  if (appended !== "") await appendText(store, appended);
  tell();
  open();
  expect(await read).toBe(`run 1${appended}run 2, whole`);
});

test("all tasks of a server that is gone are taken over together, not one after another", async () => {
  const { agent } = createCounting();
  const store = createMemoryStore();
  const first = await startServer({ agents: [agent], store });
  const seen = createTally();
  const ids = ["a", "b", "c"];
  for (const taskId of ids) void textOf(reach(first), seen.note, { asked: { ...task, taskId } }).catch(() => {}); // its server closes
  for (const run of [1, 2, 3]) await seen.times(`run ${run}`, 1);
  await first.close({ graceMs: 0 });
  const { store: held, hold, release } = holdAnswers(store);
  const successor = await serve(agent, held);
  const restarted = hold(ids.length);
  const reads = Promise.allSettled(ids.map((taskId) => textOf(successor, seen.note, { asked: { ...task, taskId } })));
  await restarted; // all of them, though none has been told so
  release();
  for (const run of [4, 5, 6]) await seen.times(`run ${run}`, 1);
  await Promise.all(ids.map((taskId) => successor.cancel(taskId)));
  await reads;
});

/** Waits for changes of leases. */
function watch(store: Store) {
  const changes = store.watch("", { signal: new AbortController().signal })[Symbol.asyncIterator]();
  return {
    async next(prefix: string, kind: "put" | "delete"): Promise<string> {
      for (;;) {
        const { value } = await changes.next();
        if (value.case === kind && value.key.startsWith(prefix)) return value.key;
      }
    },
  };
}

/** What was on its way to the only task's log when its server died. */
async function appendText(store: Store, value: string): Promise<void> {
  const [log] = await store.logs("task/");
  const entry = create(TaskLogEntrySchema, { step: { case: "text", value } });
  await store.append(log?.name ?? "", [toBinary(TaskLogEntrySchema, entry)]);
}

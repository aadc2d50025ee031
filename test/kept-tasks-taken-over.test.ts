import { Code, ConnectError, defineAgent, type Lease, Status, type Store } from "../src/index.ts";
import { createCounting, createTally, reach, serve, task, textOf } from "./support/kept-tasks.ts";
import { startServer } from "./support/server.ts";
import { newPath, openStore } from "./support/sqlite.ts";

test("what a task failed with is its end at every server: nobody asks again", async () => {
  const failing = defineAgent({
    name: "failing",
    async *run() {
      yield "before ";
      throw new ConnectError("the calendar is away", Code.Unavailable);
    },
  });
  const path = newPath();
  for (const agents of [await serve(failing, await openStore({ path })), await serve(failing, await openStore({ path }))]) {
    let resumed = 0;
    const onResume = () => void resumed++;
    const read = async () => {
      for await (const { text } of agents.stream(task, { onResume })) expect(text).toBe("before ");
    };
    await expect(read()).rejects.toMatchObject({ code: Code.Unavailable, rawMessage: "the calendar is away" });
    expect(resumed).toBe(0);
  }
});

/** A store whose server can lose its lease, as if it had slept. @param onClaimOver told when the server has done with another lease that it took over. */
function forgetful(store: Store, onClaimOver: () => void) {
  let own: Lease | undefined;
  const lease: Store["lease"] = async (key, value, ttlMs) => {
    const taken = await store.lease(key, value, ttlMs);
    if (!key.startsWith("runner/")) return taken;
    own ??= taken;
    const release = () => taken.release().then(onClaimOver);
    return taken === own ? taken : { ...taken, release };
  };
  return { store: { ...store, lease }, forget: async () => await own?.release() };
}

test("a server that was taken for dead leaves its tasks to the one that took them over, and its readers follow that one", async () => {
  const { agent, runs, open } = createCounting();
  const path = newPath();
  const seen = createTally();
  const { store, forget } = forgetful(await openStore({ path }), () => seen.note("claim over"));
  const [first, successor] = [await serve(agent, store), await serve(agent, await openStore({ path }))];
  const reads = [textOf(first, seen.note)];
  await seen.times("run 1", 1);
  reads.push(textOf(successor, seen.note));
  await seen.times("run 1", 2);
  await forget();
  await seen.times("run 2", 2);
  await seen.times("claim over", 1);
  open();
  expect(await Promise.all(reads)).toEqual(Array(2).fill("run 1run 2, whole"));
  expect(runs).toHaveLength(2);
});

/** A store whose server tells when it has heard what another one wishes of it, and no longer does. */
function overheard(store: Store, onHeard: (what: "put" | "delete") => void): Store {
  return {
    ...store,
    async *watch(prefix, options) {
      for await (const change of store.watch(prefix, options)) {
        yield change;
        if (prefix.startsWith("note/") && change.case !== "current") onHeard(change.case);
      }
    },
  };
}

test("who waits at a third server is heard by the one that took the task over", async () => {
  const path = newPath();
  const seen = createTally();
  const first = await startServer({ agents: [createCounting().agent], store: await openStore({ path }) });
  void textOf(reach(first), seen.note).catch(() => {}); // its server closes
  await seen.times("run 1", 1);
  const others: { runs: string[]; open: () => void; read: Promise<string>; leave: () => void }[] = [];
  for (const { agent, runs, open } of [createCounting(), createCounting()]) {
    const agents = await serve(agent, overheard(await openStore({ path }), seen.note));
    const leaving = new AbortController();
    const read = textOf(agents, seen.note, { signal: leaving.signal });
    others.push({ runs, open, read, leave: () => leaving.abort() });
  }
  await seen.times("run 1", 3);
  await first.close({ graceMs: 0 });
  await seen.times("run 1", 5);
  const [successor, third] = others.toSorted((one, other) => other.runs.length - one.runs.length);
  await seen.times("put", 1);
  successor?.leave();
  await expect(successor?.read).rejects.toMatchObject({ code: Code.Canceled });
  successor?.open();
  expect(await third?.read).toBe("run 1run 1, whole");
});

/** A store whose server gets the answer to its first note when it has left a second one. */
function slowToNote(store: Store): Store {
  let notes = 0;
  let left = () => {};
  const second = new Promise<void>((resolve) => {
    left = resolve;
  });
  return {
    ...store,
    async lease(key, value, ttlMs) {
      const isFirst = key.startsWith("note/") && notes++ === 0;
      const taking = store.lease(key, value, ttlMs);
      if (isFirst) await second;
      else if (notes === 2) await taking.catch(() => {}).finally(left);
      return await taking;
    },
  };
}

test("who looks at a task, and then waits for it, is heard by the server that runs it", async () => {
  const { agent, open } = createCounting();
  const path = newPath();
  const seen = createTally();
  const running = await serve(agent, overheard(await openStore({ path }), seen.note));
  const asked = await serve(agent, slowToNote(await openStore({ path })));
  const leaving = new AbortController();
  const left = textOf(running, seen.note, { signal: leaving.signal });
  await seen.times("run 1", 1);
  await asked.get(task.taskId);
  const read = textOf(asked);
  await seen.times("delete", 1);
  leaving.abort();
  await expect(left).rejects.toMatchObject({ code: Code.Canceled });
  await expect(running.get(task.taskId)).resolves.toMatchObject({ status: Status.RUNNING });
  open();
  expect(await read).toBe("run 1, whole");
});

/** A store whose server gets the answer to its first claim when that has ended, and it has heard of it. */
function slowToClaim(store: Store): Store {
  const ends = createTally();
  let leases = 0;
  return {
    ...store,
    async lease(key, value, ttlMs) {
      const taken = await store.lease(key, value, ttlMs);
      if (!key.startsWith("runner/") || ++leases !== 2) return taken; // the first one is its own
      await ends.times(key, 1);
      await taken.release();
      await ends.times(key, 2);
      return taken;
    },
    async *watch(prefix, options) {
      for await (const change of store.watch(prefix, options)) {
        yield change;
        if (change.case === "delete") ends.note(change.key);
      }
    },
  };
}

test("a claim that comes late disturbs nobody: the task runs once more, and all that it says comes once", async () => {
  const path = newPath();
  const seen = createTally();
  const first = await startServer({ agents: [createCounting().agent], store: await openStore({ path }) });
  void textOf(reach(first), seen.note).catch(() => {}); // its server closes
  await seen.times("run 1", 1);
  const { agent, runs, open } = createCounting();
  const read = textOf(await serve(agent, slowToClaim(await openStore({ path }))), seen.note);
  await seen.times("run 1", 2);
  await first.close({ graceMs: 0 });
  await seen.times("run 1", 3);
  open();
  expect(await read).toBe("run 1run 1, whole");
  expect(runs).toHaveLength(1);
});

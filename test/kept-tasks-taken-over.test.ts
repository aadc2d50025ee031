import { Code, ConnectError, defineAgent, type Lease, type Store } from "../src/index.ts";
import { createCounting, createTally, serve, task, textOf } from "./support/kept-tasks.ts";
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

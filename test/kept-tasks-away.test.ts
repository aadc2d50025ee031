import { readFileSync, writeFileSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { fromBinary } from "@bufbuild/protobuf";
import { jest } from "@jest/globals";
import { TaskLogEntrySchema } from "../src/contract/index.ts";
import { resourceExhausted, taskBounds, unavailable } from "../src/core/index.ts";
import { Code, createMemoryStore, defineAgent, Status, type Store } from "../src/index.ts";
import { createGate } from "./support/agents.ts";
import { createCounting, createTally, reach, serve, task, textOf } from "./support/kept-tasks.ts";
import { startServer } from "./support/server.ts";
import { newPath, openStore } from "./support/sqlite.ts";

const longMs = taskBounds.runnerTtlMs + 1_000;

/** A store whose leases outlive a clock that is set forward, and whose renewals wait for the test. */
function createSlowLeases() {
  const store = createMemoryStore();
  let asked = () => {};
  let answer = (_refusal?: unknown) => {};
  let refusal = new Promise<unknown>((resolve) => {
    answer = resolve;
  });
  const slow: Store = {
    ...store,
    async lease(key, value, term) {
      const lease = await store.lease(key, value, typeof term === "number" ? term : { ...term, ttlMs: 60_000_000 });
      const renew = async (value?: Uint8Array) => {
        asked();
        const thrown = await refusal;
        if (thrown !== undefined) throw thrown;
        await lease.renew(value);
      };
      return { revision: lease.revision, renew, release: () => lease.release() };
    },
  };
  return {
    store: slow,
    asked: () =>
      new Promise<void>((resolve) => {
        asked = resolve;
      }),
    /** Refuses the renewals that wait; from now on they are as good as the store's. */
    refuse(thrown: unknown) {
      answer(thrown);
      refusal = Promise.resolve(undefined);
    },
    renew: () => answer(),
  };
}

/** Moves the clock that waits and leases go by. */
function createClock() {
  const now = performance.now.bind(performance);
  let aheadMs = 0;
  jest.spyOn(performance, "now").mockImplementation(() => now() + aheadMs);
  return {
    advance(ms: number): void {
      aheadMs += ms;
    },
  };
}

afterEach(() => {
  jest.restoreAllMocks();
});

test.each<[how: string, settle: (leases: ReturnType<typeof createSlowLeases>) => void]>([
  ["takes longer than it lasts", (leases) => leases.renew()],
  ["fails while the store is away", (leases) => leases.refuse(unavailable("the store is away", 100))],
])("a server keeps its tasks when the renewal of its lease %s, and nobody has taken it", async (_, settle) => {
  const { agent, runs, open } = createCounting();
  const leases = createSlowLeases();
  const server = await serve(agent, leases.store);
  const seen = createTally();
  const read = textOf(server, seen.note);
  await seen.times("run 1", 1);
  const clock = createClock();
  const asked = leases.asked();
  clock.advance(longMs);
  await asked;
  open();
  for (let turn = 0; turn < 20; turn++) await nextTurn(); // so that the rest waits to be kept
  clock.advance(longMs);
  settle(leases);
  expect(await read).toBe("run 1, whole");
  expect(runs).toEqual([task.taskId]);
});

test("a task does not hang when the store takes an append, and says by mistake that it has not", async () => {
  const gate = createGate();
  let runs = 0;
  const agent = defineAgent({
    name: "counting",
    restartable: true,
    async *run(asked, context) {
      const run = ++runs;
      yield `run ${run}`;
      if (run === 1) yield* gate.agent.run(asked, context);
      if (run === 1) await new Promise(() => {}); // it has more to say
    },
  });
  const store = createMemoryStore();
  let isLate = false;
  const stale: Store = {
    ...store,
    async append(log, ...rest) {
      const length = await store.append(log, ...rest);
      if (!isLate || !log.startsWith("task/")) return length;
      throw unavailable("the answer was lost", 100);
    },
    async *read(log, from, options) {
      const isCheck = isLate && from > 0 && options?.follow !== true;
      if (isCheck)
        isLate = false; // a server that is behind answers, once
      else yield* store.read(log, from, options);
    },
  };
  const server = await serve(agent, stale);
  const seen = createTally();
  const read = textOf(server, seen.note);
  await seen.times("run 1", 1);
  await gate.running;
  isLate = true;
  gate.open();
  expect(await read).toBe("run 1first secondrun 2");
});

test("a task that the store has no room for fails, is read as it is, and has its end in the store when there is room", async () => {
  const store = createMemoryStore();
  let isFull = false;
  const filling: Store = {
    ...store,
    async append(log, ...rest) {
      if (isFull) throw resourceExhausted({ subject: log, description: "the store is full" });
      return await store.append(log, ...rest);
    },
  };
  const gate = createGate();
  const server = await serve(gate.agent, filling);
  const stream = server.stream(task)[Symbol.asyncIterator]();
  expect((await stream.next()).value).toMatchObject({ text: "first" });
  isFull = true;
  gate.open();
  await expect(stream.next()).rejects.toMatchObject({ code: Code.ResourceExhausted });
  await expect(server.process("another")).rejects.toMatchObject({ code: Code.ResourceExhausted });
  expect(await server.get(task.taskId)).toMatchObject({ status: Status.ERROR, response: { content: "first" } });
  isFull = false;
  expect((await server.process("another")).content).toBe("first second");
  const log = (await store.logs("task/")).find(({ name }) => name.endsWith(task.taskId))?.name ?? "";
  const steps: unknown[] = [];
  for await (const bytes of store.read(log, 1, { follow: true })) {
    const { step } = fromBinary(TaskLogEntrySchema, bytes);
    steps.push(step.value);
    if (step.case === "finish") break;
  }
  expect(steps).toMatchObject(["first", { status: Status.ERROR, error: { code: Code.ResourceExhausted } }]);
});

test("a task whose entry is damaged is DATA_LOSS, which names it, and all others are answered", async () => {
  const path = newPath();
  const repeating = defineAgent({
    name: "repeating",
    async *run({ content }) {
      yield "first ";
      yield `<${content}>`;
    },
  });
  const written = await openStore({ path });
  const writer = await startServer({ agents: [repeating], store: written });
  for (const taskId of ["a", "b", "c"]) await reach(writer).process({ taskId, content: taskId.repeat(40) });
  await writer.close();
  await written.close();
  const file = readFileSync(path);
  for (let at = file.indexOf("<bbb"); at >= 0; at = file.indexOf("<bbb", at + 1)) file[at + 9] = (file[at + 9] ?? 0) ^ 4;
  writeFileSync(path, file);
  const server = await serve(repeating, await openStore({ path }));
  const damage = { code: Code.DataLoss, rawMessage: expect.stringMatching(/^entry 2 of log "task\/.*\/b" /) };
  await expect(server.get("b")).rejects.toMatchObject(damage);
  await expect(server.process({ taskId: "b" })).rejects.toMatchObject(damage);
  for (const taskId of ["a", "c", "d"]) {
    expect((await server.process({ taskId, content: taskId.repeat(40) })).content).toBe(`first <${taskId.repeat(40)}>`);
  }
});

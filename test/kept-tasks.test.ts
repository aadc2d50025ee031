import { Code, createClient } from "@connectrpc/connect";
import { AgentService as FirstAgentService } from "../gen/agent/agent_pb.js";
import { AgentService, ErrorInfoSchema } from "../src/contract/index.ts";
import { type Agents, connect, createMemoryStore, defineAgent, type ServeOptions, Status, type Store } from "../src/index.ts";
import { createTransport } from "../src/wire/index.ts";
import { asking, createGate, echo, failing, remembering } from "./support/agents.ts";
import { failure } from "./support/failure.ts";
import { startServer } from "./support/server.ts";
import { openStore } from "./support/sqlite.ts";

const stores: [name: string, open: () => Store | Promise<Store>][] = [
  ["an in-process store", () => createMemoryStore()],
  ["an SQLite file", () => openStore()],
];

const clients: Agents[] = [];
afterAll(() => {
  for (const agents of clients) agents.close();
});

async function startAt(store: Store, options: Partial<ServeOptions> = {}) {
  const server = await startServer({ store, ...options });
  const agents = connect(server.url);
  clients.push(agents);
  return { server, agents, service: createClient(AgentService, createTransport({ baseUrl: server.url })) };
}

/** Chunks of a stream as [index, text or what else it is]. */
async function read(
  stream: AsyncIterable<{ index: number; text: string; status: Status; restartedFrom?: number | undefined }>,
) {
  const events: [number, string | Status][] = [];
  for await (const { index, text, status, restartedFrom } of stream) {
    if (restartedFrom !== undefined) events.push([index, `from ${restartedFrom}`]);
    else events.push([index, status === Status.UNSPECIFIED ? text : status]);
  }
  return events;
}

/** An agent that counts its runs, and says a word at each turn of a key that the test holds. */
function createSteps({ restartable = false } = {}) {
  let runs = 0;
  const waiting: (() => void)[] = [];
  let ended = (_reason: unknown) => {};
  const stopped = new Promise<unknown>((resolve) => {
    ended = resolve;
  });
  const agent = defineAgent({
    name: "steps",
    restartable,
    async *run(_task, { signal }) {
      const run = ++runs;
      signal.addEventListener("abort", () => ended(signal.reason));
      for (let step = 0; ; step++) {
        yield `${run}.${step} `;
        await new Promise<void>((resolve) => waiting.push(resolve));
        if (signal.aborted || waiting.length > 1_000) return;
      }
    },
  });
  return {
    agent,
    stopped,
    get runs() {
      return runs;
    },
    async turn() {
      while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
      waiting.shift()?.();
    },
  };
}

describe.each(stores)("servers that share %s", (_name, open) => {
  test("answer for each other's tasks, running and ended: one run, the same events", async () => {
    const store = await open();
    const gate = createGate();
    const [one, other] = [await startAt(store, { agents: [gate.agent] }), await startAt(store, { agents: [gate.agent] })];
    const task = { taskId: "t", content: "x" };
    const first = one.agents.process(task);
    await gate.running;
    const follows = [read(other.agents.stream(task)), other.agents.process(task)] as const;
    expect(await other.agents.get("t")).toMatchObject({ status: Status.RUNNING, response: { content: "first" } });
    gate.open();
    expect((await first).content).toBe("first second");
    const events = [
      [0, "first"],
      [1, " second"],
      [2, Status.COMPLETED],
    ];
    expect(await follows[0]).toEqual(events);
    expect((await follows[1]).content).toBe("first second");
    const third = await startAt(store, { agents: [gate.agent] });
    expect(await read(third.agents.stream(task))).toEqual(events);
    expect(await read(third.agents.stream({ ...task, fromIndex: 1 }))).toEqual(events.slice(1));
    expect(await third.agents.get("t")).toMatchObject({ status: Status.COMPLETED, nextIndex: 3, agentId: "gated" });
  });

  test("refuse the id for another request, wherever it is asked", async () => {
    const store = await open();
    const [one, other] = [await startAt(store), await startAt(store)];
    await one.agents.process({ taskId: "t", content: "x" });
    const error = await failure(other.agents.process({ taskId: "t", content: "y" }));
    expect(error.code).toBe(Code.AlreadyExists);
    expect(error.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: "TASK_ID_REUSED" }]);
  });

  test("run a task once that is asked for at both at once", async () => {
    const store = await open();
    let runs = 0;
    const counting = defineAgent({
      name: "counting",
      async *run() {
        yield `run ${++runs}`;
      },
    });
    const [one, other] = [await startAt(store, { agents: [counting] }), await startAt(store, { agents: [counting] })];
    const asked = Array.from({ length: 40 }, (_, index) =>
      (index % 2 === 0 ? one : other).agents.process({ taskId: "t", content: "x" }),
    );
    expect(new Set((await Promise.all(asked)).map(({ content }) => content))).toEqual(new Set(["run 1"]));
    expect(runs).toBe(1);
  });

  test("stop each other's tasks", async () => {
    const store = await open();
    const steps = createSteps();
    const [one, other] = [await startAt(store, { agents: [steps.agent] }), await startAt(store, { agents: [steps.agent] })];
    const answer = failure(one.agents.process({ taskId: "t", content: "x" }));
    await steps.turn();
    expect(await other.agents.cancel("t")).toMatchObject({ status: Status.CANCELLED });
    expect(await steps.stopped).toMatchObject({ code: Code.Canceled });
    expect((await answer).code).toBe(Code.Canceled);
    expect(await one.agents.get("t")).toMatchObject({ status: Status.CANCELLED });
  });

  test("go on with each other's tasks when the tool results come", async () => {
    const store = await open();
    const [one, other] = [await startAt(store), await startAt(store)];
    const task = { taskId: "t", agentId: "asking", content: "Berlin", availableTools: [{ name: "clock" }] };
    expect((await one.agents.process(task)).status).toBe(Status.REQUIRES_TOOL_CALL);
    const results = { taskId: "t", toolResults: [{ callId: "call-1", resultJson: '"noon"' }] };
    expect((await other.agents.process(results)).content).toBe('it is "noon"');
    expect((await one.agents.process(results)).content).toBe('it is "noon"'); // repeated, it gives what is there
    expect(await one.agents.get("t")).toMatchObject({ status: Status.COMPLETED });
    expect((await failure(one.agents.process({ ...results, toolResults: [{ callId: "call-1", resultJson: "1" }] }))).code).toBe(
      Code.FailedPrecondition,
    );
  });

  test("keep a task alive for those who wait at another one", async () => {
    const store = await open();
    const steps = createSteps();
    const limits = { abandonAfterMs: 50 };
    const options = { agents: [steps.agent], limits };
    const [one, other] = [await startAt(store, options), await startAt(store, options)];
    const task = { taskId: "t", content: "x" };
    const here = one.agents.stream(task, { resumeForMs: 0 })[Symbol.asyncIterator]();
    expect((await here.next()).value?.text).toBe("1.0 ");
    const there = other.agents.stream(task)[Symbol.asyncIterator]();
    expect((await there.next()).value?.text).toBe("1.0 ");
    await here.return?.(); // it cancels, and is not the last
    await steps.turn();
    expect((await there.next()).value?.text).toBe("1.1 ");
    await there.return?.();
    expect(await steps.stopped).toMatchObject({ code: Code.Canceled });
  });

  test("take a restartable task over when its server leaves it, and it begins anew; every reader sees the same", async () => {
    const store = await open();
    const steps = createSteps({ restartable: true });
    const [one, other] = [await startAt(store, { agents: [steps.agent] }), await startAt(store, { agents: [steps.agent] })];
    const task = { taskId: "t", content: "x" };
    const reader = other.agents.stream(task)[Symbol.asyncIterator]();
    const started = one.agents.stream(task, { resumeForMs: 0 })[Symbol.asyncIterator]();
    expect((await started.next()).value?.text).toBe("1.0 ");
    expect((await reader.next()).value?.text).toMatch(/^[12]\.0 $/);
    const first = steps.runs;
    await Promise.all([one.server.close({ graceMs: 0 }), failure(started.next())]);
    const next = (await reader.next()).value;
    expect(next).toMatchObject({ index: 1, restartedFrom: 0 });
    expect((await reader.next()).value?.text).toBe(`${first + 1}.0 `);
    await other.agents.cancel("t");
    expect((await failure(reader.next())).code).toBe(Code.Canceled);
    expect(await other.agents.get("t")).toMatchObject({ response: { content: `${first + 1}.0 ` } });
  });

  test("tell callers by the first contract, who cannot be told what is void, to ask again", async () => {
    const store = await open();
    const steps = createSteps({ restartable: true });
    const [one, other] = [await startAt(store, { agents: [steps.agent] }), await startAt(store, { agents: [steps.agent] })];
    const task = { taskId: "t", content: "x" };
    const started = one.agents.stream(task, { resumeForMs: 0 })[Symbol.asyncIterator]();
    expect((await started.next()).value?.text).toBe("1.0 ");
    const first = createClient(FirstAgentService, createTransport({ baseUrl: other.server.url }));
    const reader = first.streamResponse(task)[Symbol.asyncIterator]();
    expect((await reader.next()).value?.text).toBe("1.0 ");
    await Promise.all([one.server.close({ graceMs: 0 }), failure(started.next())]);
    expect(await failure(reader.next())).toMatchObject({
      code: Code.Unavailable,
      rawMessage: expect.stringContaining("begins anew"),
    });
    const again = first.streamResponse(task)[Symbol.asyncIterator]();
    expect((await again.next()).value).toMatchObject({ index: 0, text: `${steps.runs}.0 ` }); // without what is void
    await other.agents.cancel("t");
    await failure(again.next());
  });

  test("attach by the id alone; one that nobody has is NOT_FOUND", async () => {
    const store = await open();
    const [one, other] = [await startAt(store), await startAt(store)];
    await one.agents.process({ taskId: "t", content: "a b" });
    expect((await other.agents.process({ taskId: "t" })).content).toBe("a b ");
    expect((await read(other.agents.stream({ taskId: "t", fromIndex: 1 })))[0]).toEqual([1, "b "]);
    const calls = [() => other.agents.process({ taskId: "u" }), () => other.agents.get("u"), () => other.agents.cancel("u")];
    for (const call of calls) expect((await failure(call())).code).toBe(Code.NotFound);
  });

  test("tell why a task failed, with its details, wherever it is asked", async () => {
    const store = await open();
    const [one, other] = [await startAt(store), await startAt(store)];
    const task = { taskId: "t", agentId: "failing", content: "typed" };
    for (const { agents } of [one, other]) {
      const error = await failure(agents.process(task));
      expect(error).toMatchObject({ code: Code.FailedPrecondition, rawMessage: "the calendar is read-only" });
      expect(error.metadata.get("convoke-task-ended")).toBe("1");
    }
    expect(await other.agents.get("t")).toMatchObject({ status: Status.ERROR, response: { content: "before " } });
  });

  test("list a caller's tasks page by page, without their answers", async () => {
    const store = await open();
    const [one, other] = [await startAt(store), await startAt(store)];
    for (const taskId of ["b", "a", "c"]) await one.agents.process({ taskId, content: taskId });
    await failure(one.agents.process({ taskId: "d", agentId: "failing", content: "typed" }));
    const { service } = other;
    const first = await service.listTasks({ pageSize: 2 });
    expect(first.tasks.map(({ taskId, agentId, status }) => [taskId, agentId, status])).toEqual([
      ["a", "echo", Status.COMPLETED],
      ["b", "echo", Status.COMPLETED],
    ]);
    expect(first.tasks.every(({ response, endTime }) => response === undefined && endTime !== undefined)).toBe(true);
    const second = await service.listTasks({ pageSize: 2, pageToken: first.nextPageToken });
    expect(second.tasks.map(({ taskId, status }) => [taskId, status])).toEqual([
      ["c", Status.COMPLETED],
      ["d", Status.ERROR],
    ]);
    expect(await service.listTasks({ pageSize: 2, pageToken: second.nextPageToken })).toMatchObject({
      tasks: [],
      nextPageToken: "",
    });
    expect((await failure(service.listTasks({ pageSize: -1 }))).code).toBe(Code.InvalidArgument);
  });

  test("say which events of a task are gone", async () => {
    const store = await open();
    const one = await startAt(store);
    await one.agents.process({ taskId: "t", content: "a b" });
    const [info] = await store.logs("task/");
    await store.trim(info?.name ?? "", info?.length ?? 0);
    const other = await startAt(store);
    const calls = [
      () => other.agents.process({ taskId: "t", content: "a b" }),
      () => read(other.agents.stream({ taskId: "t", fromIndex: 1 })),
      () => other.agents.get("t"),
    ];
    for (const call of calls) {
      const error = await failure(call());
      expect(error.code).toBe(Code.OutOfRange);
      expect(error.rawMessage).toBe(`the events of task "t" are gone; the first one held is ${(info?.length ?? 0) - 1}`);
    }
  });

  test("call what is no step of a task DATA_LOSS, and answer for the others", async () => {
    const store = await open();
    const one = await startAt(store);
    await one.agents.process({ taskId: "t", content: "a b" });
    const [info] = await store.logs("task/");
    await store.append(info?.name ?? "", [new Uint8Array([255])]);
    const other = await startAt(store);
    const error = await failure(other.agents.get("t"));
    expect(error.code).toBe(Code.DataLoss);
    expect(error.rawMessage).toContain(`entry ${info?.length} of log`);
    expect((await other.agents.process({ taskId: "u", content: "a" })).content).toBe("a ");
  });

  test("hold conversations over streams that wait for tools", async () => {
    const { agents } = await startAt(await open());
    const chat = agents.converse();
    chat.send("one");
    const seen: string[] = [];
    for await (const { event } of chat) {
      if (event.case === "text") seen.push(event.value);
      if (event.case === "turnFinished") chat.end();
    }
    expect(seen).toEqual(["one "]);
  });
});

test("a task that the store cannot take fails with RESOURCE_EXHAUSTED, and the server goes on", async () => {
  const store = createMemoryStore({ maxBytes: 20_000 });
  const one = await startAt(store);
  const error = await failure(one.agents.process({ taskId: "large", content: "x".repeat(30_000) }));
  expect(error.code).toBe(Code.ResourceExhausted);
  const words = Array.from({ length: 500 }, () => "word").join(" ");
  expect((await failure(one.agents.process({ taskId: "long", content: words }))).code).toBe(Code.ResourceExhausted);
  expect(await one.agents.get("long")).toMatchObject({ status: Status.ERROR });
});

test.each([
  ["cluster", createMemoryStore(), /"cluster", and the store gives "memory"/],
  ["disk", undefined, /"disk", and the store gives "memory"/],
  ["paper", createMemoryStore(), /must be one of memory, disk, cluster/],
] as const)("durability %s is refused where the store does not give it", async (durability, store, message) => {
  const options = { durability: durability as "disk", ...(store && { store }) }; // "paper" is what a program without types may say
  await expect(startServer(options)).rejects.toThrow(message);
});

test.each(["memory", "disk"] as const)("with durability %s an SQLite store has all of it in the end", async (durability) => {
  const store = await openStore();
  const { agents, server } = await startAt(store, { durability, agents: [echo, failing, asking, remembering] });
  expect((await agents.process({ taskId: "t", content: "a b c" })).content).toBe("a b c ");
  await server.close();
  const [info] = await store.logs("task/");
  expect(info?.length).toBe(7); // the begin, three words, usage, citation, finish
});

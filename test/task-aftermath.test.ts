import { setImmediate as turn } from "node:timers/promises";
import { ConnectError } from "@connectrpc/connect";
import { resourceExhausted, unavailable } from "../src/core/index.ts";
import { type Agents, connect, createMemoryStore, defineAgent, type ServeOptions, Status, type Store } from "../src/index.ts";
import { remembering } from "./support/agents.ts";
import { startServer } from "./support/server.ts";
import { taskPlaces } from "./support/task-places.ts";

const clients: Agents[] = [];
afterAll(() => {
  for (const agents of clients) agents.close();
});

async function start(options: Partial<ServeOptions>): Promise<Agents> {
  const agents = connect((await startServer(options)).url);
  clients.push(agents);
  return agents;
}

async function textsIn(agents: Agents, thread: string): Promise<string[]> {
  const texts: string[] = [];
  for await (const { content } of agents.memory(thread).read()) texts.push(content);
  return texts;
}

const noting = defineAgent({
  name: "noting",
  async *run({ content, toolResults }, { memory }) {
    const thread = memory.thread("notes");
    const { length } = await thread.read();
    thread.add(`${length}: ${content}`);
    thread.add({ content: "done", kind: "result", metadata: { a: "b" } });
    if (content === "fail") throw new Error("no");
    if (content === "tool" && toolResults.length === 0)
      yield {
        case: "toolCall",
        value: { $typeName: "agent.v1.ToolCall", callId: "c", toolName: "clock", argumentsJson: "{}" },
      };
    else yield "noted";
  },
});

describe.each(taskPlaces)("a task in %s", (_place, open) => {
  test("adds to shared memory what its agent added, when it has finished well, and names itself", async () => {
    const { store } = await open();
    const agents = await start({ agents: [noting], ...(store && { store, memory: { store } }) });
    await agents.process({ taskId: "t", content: "one" });
    await agents.process({ taskId: "t", content: "one" });
    expect(await textsIn(agents, "notes")).toEqual(["0: one", "done"]);
    const entries = [];
    for await (const entry of agents.memory("notes").read()) entries.push(entry);
    expect(entries[1]).toMatchObject({
      kind: "result",
      metadata: { a: "b" },
      author: { name: "anonymous" },
      origin: { taskId: "t", agent: "noting" },
    });
    await agents.memory("notes").verify();
  });

  test("adds nothing when it fails, and once when it waited for a tool", async () => {
    const { store } = await open();
    const agents = await start({ agents: [noting], ...(store && { store, memory: { store } }) });
    await agents.process("fail").catch(() => {});
    const task = { taskId: "w", content: "tool", availableTools: [{ name: "clock" }] };
    expect((await agents.process(task)).status).toBe(Status.REQUIRES_TOOL_CALL);
    expect(await textsIn(agents, "notes")).toEqual([]);
    await agents.process({ taskId: "w", toolResults: [{ callId: "c", resultJson: "1" }] });
    expect(await textsIn(agents, "notes")).toEqual(["0: tool", "done"]);
  });

  test("says at once what cannot be added", async () => {
    let failure: unknown;
    const adding = defineAgent({
      name: "adding",
      async *run(_task, { memory }) {
        try {
          memory.thread("no spaces allowed").add("x");
        } catch (thrown) {
          failure = thrown;
        }
        yield "x";
      },
    });
    const agents = await start({ agents: [adding], ...(await open()) });
    await agents.process("x");
    expect(ConnectError.from(failure).message).toContain("[invalid_argument]");
  });
});

test("without shared memory an agent is told so", async () => {
  const agents = await start({ agents: [noting], memory: false });
  await expect(agents.process("x")).rejects.toThrow("serve({ memory: true })");
});

/** A store whose appends to some logs never come back, as if the process died there. */
function dyingAt(store: Store, isThere: (log: string) => boolean): Store {
  return { ...store, append: (log, ...rest) => (isThere(log) ? new Promise(() => {}) : store.append(log, ...rest)) };
}

test("a conversation goes on at another server, each turn there once", async () => {
  const store = createMemoryStore();
  const [one, other] = [await start({ agents: [remembering], store }), await start({ agents: [remembering], store })];
  const conversationId = "c";
  await one.process({ taskId: "1", content: "a", conversationId });
  await other.process({ taskId: "2", content: "b", conversationId });
  await one.process({ taskId: "1", content: "a", conversationId });
  expect((await one.process({ content: "c", conversationId })).content).toBe(
    "2 before: a=0 before: ; b=1 before: a=0 before: ",
  );
});

test("what a finished task leaves is done by another server when its own dies before that, once", async () => {
  const store = createMemoryStore();
  const dying = dyingAt(store, (log) => log.startsWith("thread/") || log.startsWith("conversation/"));
  const one = await startServer({ agents: [noting], store: dying, memory: { store: dying } });
  const agents = connect(one.url);
  clients.push(agents);
  await agents.process({ taskId: "t", content: "one", conversationId: "c" }); // its end waits for a while, and no longer
  expect(await store.logs("thread/")).toEqual([]);
  await one.close({ graceMs: 0 });
  const other = await start({ agents: [noting, remembering], store, memory: { store } });
  await other.process({ taskId: "u", content: "two" });
  while ((await textsIn(other, "notes")).length < 4);
  expect((await textsIn(other, "notes")).toSorted()).toEqual(
    ["0: one", expect.stringMatching(/^[02]: two$/), "done", "done"].toSorted(),
  );
  const asked = { agentId: "remembering", content: "x", conversationId: "c" };
  expect((await other.process(asked)).content).toBe("1 before: one=noted");
});

/** The tasks of which servers have not yet done what they leave. */
async function owed(store: Store): Promise<string[]> {
  const names: string[] = [];
  for (const { name, length } of await store.logs("aftermath/")) {
    for (let number = 0; number < length; number++) {
      const entry = await store
        .read(name, number)
        [Symbol.asyncIterator]()
        .next()
        .catch(() => undefined); // gone: it has been done
      if (entry?.value !== undefined) names.push(Buffer.from(entry.value).toString().replace(/^.*\//, ""));
    }
  }
  return names;
}

test("nothing is left to do when all is done, in whatever order", async () => {
  const store = createMemoryStore();
  let proceed = () => {};
  const gate = new Promise<void>((resolve) => {
    proceed = resolve;
  });
  let reached = () => {};
  const atGate = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const append: Store["append"] = async (log, ...rest) => {
    if (log.startsWith("conversation/") && log.endsWith("/first")) {
      reached();
      await gate;
    }
    return await store.append(log, ...rest);
  };
  const agents = await start({ agents: [remembering], store: { ...store, append } });
  const first = agents.process({ taskId: "1", content: "a", conversationId: "first" });
  await atGate;
  await agents.process({ taskId: "2", content: "b", conversationId: "second" });
  expect(await owed(store)).toEqual(["1", "2"]);
  proceed();
  await first;
  expect(await owed(store)).toEqual([]);
});

test("a name that could not be taken out is taken out later", async () => {
  const store = createMemoryStore();
  let failures = 0;
  const trim: Store["trim"] = async (log, before) => {
    if (log.startsWith("aftermath/") && failures++ === 0) throw unavailable("the store is away", 1);
    await store.trim(log, before);
  };
  const agents = await start({ agents: [remembering], store: { ...store, trim } });
  await agents.process({ content: "a", conversationId: "c" });
  expect(await owed(store)).toEqual([]);
});

test("a task whose end the store does not take leaves nothing, and keeps nothing of others", async () => {
  const store = createMemoryStore();
  const full = resourceExhausted({ subject: "test", description: "the store is full" });
  const append: Store["append"] = async (log, entries, options = {}) => {
    if (log.endsWith("/1") && (options.expectedLength ?? 0) > 0) throw full;
    return await store.append(log, entries, options);
  };
  const agents = await start({ agents: [remembering], store: { ...store, append } });
  await expect(agents.process({ taskId: "1", content: "a", conversationId: "c" })).rejects.toThrow("the store is full");
  expect((await agents.process({ taskId: "2", content: "b", conversationId: "c" })).content).toBe("0 before: ");
  expect(await owed(store)).toEqual([]);
});

test("what a task that is gone has left does not keep others from having theirs done", async () => {
  const store = createMemoryStore();
  const dying = dyingAt(store, (log) => log.startsWith("conversation/"));
  const one = await startServer({ agents: [remembering], store: dying });
  const agents = connect(one.url);
  clients.push(agents);
  await Promise.all(["1", "2"].map((taskId) => agents.process({ taskId, content: taskId, conversationId: `c${taskId}` })));
  await one.close({ graceMs: 0 });
  const [gone] = await store.logs("task/");
  await store.trim(gone?.name ?? "", gone?.length ?? 0);
  const other = await start({ agents: [remembering], store });
  await other.process({ taskId: "3", content: "x" });
  while ((await owed(store)).length > 0) await turn();
  expect((await other.process({ content: "x", conversationId: "c2" })).content).toBe("1 before: 2=0 before: ");
});

test("a task whose additions shared memory does not take is no turn of its conversation", async () => {
  const store = createMemoryStore();
  const append: Store["append"] = async () => {
    throw resourceExhausted({ subject: "test", description: "shared memory is full" });
  };
  const agents = await start({ agents: [noting, remembering], memory: { store: { ...store, append } } });
  await expect(agents.process({ content: "a", conversationId: "c" })).rejects.toThrow("shared memory is full");
  expect((await agents.process({ agentId: "remembering", content: "b", conversationId: "c" })).content).toBe("0 before: ");
});

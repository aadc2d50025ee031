import { ConnectError } from "@connectrpc/connect";
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

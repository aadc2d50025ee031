import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { AgentService } from "../src/contract/index.ts";
import { type Agents, connect, type ServeOptions, Status } from "../src/index.ts";
import { createTransport } from "../src/wire/index.ts";
import { createGate, echo } from "./support/agents.ts";
import { startClient, startServer } from "./support/server.ts";

/** Which of the tasks the server still knows. */
async function known(agents: Agents, ids: readonly string[]): Promise<string[]> {
  const found = await Promise.all(ids.map((id) => agents.get(id).then(() => [id], ifNotFound)));
  return found.flat();
}

function ifNotFound(thrown: unknown): string[] {
  if (ConnectError.from(thrown).code === Code.NotFound) return [];
  throw thrown;
}

/** A server, and a client of it that leaves it to the server to name tasks. */
async function startUnnamed(options: Partial<ServeOptions> = {}) {
  const { url } = await startServer(options);
  const service = createClient(AgentService, createTransport({ baseUrl: url }));
  return { agents: connect(url), service, ask: (content: string) => service.processTask({ content }) };
}

const asking = { agentId: "asking", content: "Berlin", availableTools: [{ name: "clock" }] };
const toolResults = [{ callId: "call-1", resultJson: '"noon"' }];

test("the task that ended first is forgotten first, whichever began first", async () => {
  const gate = createGate();
  const agents = await startClient({ agents: [echo, gate.agent], limits: { maxEndedTasks: 2 } });
  const slow = agents.process({ agentId: "gated", taskId: "slow", content: "x" });
  await gate.running;
  for (const taskId of ["a", "b", "c"]) await agents.process({ taskId, content: "x" });
  gate.open();
  await slow;
  expect(await known(agents, ["a", "b", "c", "slow"])).toEqual(["c", "slow"]);
});

test("a task that goes on has its place anew when it ends again", async () => {
  const agents = await startClient({ limits: { maxEndedTasks: 2 } });
  await agents.process({ ...asking, taskId: "waits" });
  await agents.process({ taskId: "a", content: "x" });
  await agents.process({ taskId: "waits", toolResults });
  await agents.process({ taskId: "b", content: "x" });
  expect(await known(agents, ["a", "waits", "b"])).toEqual(["waits", "b"]);
});

test("a task that is cancelled while it waits for tool results ends once more, and takes no place among those at work", async () => {
  const agents = await startClient({ limits: { maxEndedTasks: 2, maxRunningTasks: 1 } });
  await agents.process({ ...asking, taskId: "waits" });
  await agents.process({ taskId: "a", content: "x" });
  expect((await agents.cancel("waits")).status).toBe(Status.CANCELLED);
  await agents.process({ taskId: "b", content: "x" });
  expect(await known(agents, ["a", "waits", "b"])).toEqual(["waits", "b"]);
});

test("ended tasks over the bytes are forgotten, the oldest first", async () => {
  const agents = await startClient({ limits: { maxEndedTasksBytes: 5_000 } });
  for (const taskId of ["a", "b", "c"]) await agents.process({ taskId, content: "x".repeat(900) });
  expect(await known(agents, ["a", "b", "c"])).toEqual(["c"]);
});

test("an ended task is forgotten after its time", async () => {
  const agents = await startClient({ limits: { endedTaskTtlMs: 0 } });
  await agents.process({ taskId: "a", content: "x" });
  expect(await known(agents, ["a"])).toEqual([]);
});

test("a task that the server named is found by that name, and its name is taken", async () => {
  const { agents, ask } = await startUnnamed();
  const { taskId, content } = await ask("hi there");
  expect(taskId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect((await agents.get(taskId)).response?.content).toBe(content);
  const again = agents.process({ taskId, content: "hi there" }).catch((thrown: unknown) => ConnectError.from(thrown).code);
  expect(await again).toBe(Code.AlreadyExists);
});

test("tasks that the server named are known and forgotten like the others, whether they were asked for before or not", async () => {
  const gate = createGate();
  const { agents, ask, service } = await startUnnamed({ agents: [echo, gate.agent], limits: { maxEndedTasks: 2 } });
  const running = service.streamResponse({ agentId: "gated", content: "x" })[Symbol.asyncIterator]();
  const first = running.next();
  const name = async () => (await ask("x")).taskId;
  const a = await name();
  expect(await known(agents, [a])).toEqual([a]); // and from here on a, and the one that runs, are in the index
  const [b, c] = [await name(), await name()];
  expect(await known(agents, [a, b, c])).toEqual([b, c]);
  gate.open();
  const { taskId = "" } = (await first).value ?? {};
  while ((await running.next()).done !== true);
  expect(await known(agents, [a, b, c, taskId])).toEqual([c, taskId]);
  const [d, e] = [await name(), await name()]; // nobody asks before they drive the others out
  expect(await known(agents, [b, c, taskId, d, e])).toEqual([d, e]);
});

test("a task that waits can be asked for by its name, with the same tools and in the same words only", async () => {
  const agents = await startClient();
  const first = await agents.process({ ...asking, taskId: "t", metadata: { a: "1" } });
  expect(await agents.process({ ...asking, taskId: "t", metadata: { a: "1" } })).toEqual(first);
  const others = [
    {},
    { metadata: { a: "2" } },
    { metadata: { a: "1" }, availableTools: [{ name: "clock", description: "new" }] },
  ];
  for (const other of others) {
    const code = agents
      .process({ ...asking, taskId: "t", ...other })
      .catch((thrown: unknown) => ConnectError.from(thrown).code);
    expect(await code).toBe(Code.AlreadyExists);
  }
});

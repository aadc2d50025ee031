import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resourceExhausted } from "../src/core/index.ts";
import { Code, connect, createMemoryStore, type Store } from "../src/index.ts";
import { startStandby } from "./fault/kept-servers.ts";
import { createProcesses } from "./fault/processes.ts";
import { countRuns, outcomesOf, readLogs, replayAll } from "./fault/task-audit.ts";
import { readTask, type SeenTask } from "./fault/task-readers.ts";
import { createGate } from "./support/agents.ts";
import { startServer } from "./support/server.ts";
import { openStore } from "./support/sqlite.ts";

const processes = createProcesses();
const folder = mkdtempSync(join(tmpdir(), "convoke-crash-"));

afterAll(async () => {
  await processes.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("kill -9 of a server in mid-stream: another one on its port and file ends its tasks as declared, and nothing that was seen is lost", async () => {
  const [path, runs] = [join(folder, "store.db"), join(folder, "runs")];
  const options = { store: { path }, runs, pieceMs: 20 };
  const [first, second] = await Promise.all([startStandby(processes, options), startStandby(processes, options)]);
  const killed = await first.serve();
  const agents = connect(killed.url);
  const tasks: SeenTask[] = [];
  let begin = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const onChunk = () => {
    if (tasks.length === 2 && tasks.every(({ chunks }) => chunks.length >= 3)) begin();
  };
  const reading = (["once", "again"] as const).map((agent) => readTask(agents, { agent, pieces: 30 }, { tasks, onChunk }));
  await begun;
  await killed.kill();
  const server = await second.serve(killed.port);
  await Promise.all(reading);
  const replays = await replayAll(agents, tasks);
  agents.close();
  await server.kill();
  const logs = await readLogs(await openStore({ path }));
  const faults: string[] = [];
  const outcomes = outcomesOf(tasks, { logs, replays, runs: countRuns(runs), say: (fault) => void faults.push(fault) });
  expect({ outcomes, faults }).toEqual({ outcomes: ["server lost", "restarted"], faults: [] });
}, 60_000);

test("a take-over that the store does not take fails those who wait for the task, and is made when it does", async () => {
  const store = createMemoryStore();
  let isFull = false;
  const filling: Store = {
    ...store,
    append: (log, ...rest) =>
      isFull
        ? Promise.reject(resourceExhausted({ subject: log, description: "the store is full" }))
        : store.append(log, ...rest),
  };
  const gate = createGate();
  const agents = [{ ...gate.agent, restartable: true }];
  const first = await startServer({ agents, store });
  const [running, successor] = [connect(first.url), connect((await startServer({ agents, store: filling })).url)];
  const task = { taskId: "t", content: "x" };
  const left = running.process(task).catch(() => {}); // its server closes
  await gate.running;
  const stream = successor.stream(task)[Symbol.asyncIterator]();
  expect((await stream.next()).value).toMatchObject({ text: "first" });
  isFull = true;
  await first.close({ graceMs: 0 });
  await expect(stream.next()).rejects.toMatchObject({ code: Code.ResourceExhausted });
  await expect(successor.process(task)).rejects.toMatchObject({ code: Code.ResourceExhausted });
  isFull = false;
  gate.open();
  expect((await successor.process(task)).content).toBe("first second");
  running.close();
  successor.close();
  await left;
});

import { createHash } from "node:crypto";
import { createClient } from "@connectrpc/connect";
import { createSqliteStore, defineAgent, type Store, serve, usage } from "convoke";
import { AgentService } from "convoke/contract";
import { createTransport } from "convoke/wire";
import { answer, taskRequest } from "./messages.ts";

/** Appends that wait for the disk at once. */
const maxWaiting = 20_000;

const schedule = defineAgent({
  name: "schedule",
  async *run() {
    yield answer;
    yield usage({ prompt: 128, completion: 32 });
  },
});

/** The id of a task that {@link writeFinishedTasks} writes: scattered, as those that are drawn are. */
export function finishedTaskId(index: number): string {
  return createHash("sha256").update(String(index)).digest("hex").slice(0, 32);
}

/** Makes a store with so many finished tasks of one caller: copies of one that a server has run, each with an id of its own. */
export async function writeFinishedTasks(path: string, count: number): Promise<void> {
  const store = await createSqliteStore({ path });
  const { prefix, entries } = await runOne(store);
  const ids = Array.from({ length: count }, (_, index) => finishedTaskId(index));
  ids.sort(); // a tree that grows at its end is written once, not a page an id
  for (let from = 0; from < count; from += maxWaiting) {
    await Promise.all(
      ids.slice(from, from + maxWaiting).map((id) => store.append(prefix + id, entries, { expectedLength: 0 })),
    );
  }
  await store.close();
}

/** Runs a task, and gives what the store has of it. */
async function runOne(store: Store): Promise<{ prefix: string; entries: Uint8Array[] }> {
  const server = await serve({ agents: [schedule], store, port: 0, signals: false, log: { level: "warn" } });
  const transport = createTransport({ baseUrl: server.url, protocol: "grpc" });
  const { taskId } = await createClient(AgentService, transport).processTask(taskRequest);
  transport.close();
  await server.close();
  const [log] = await store.logs("task/");
  if (log === undefined || !log.name.endsWith(taskId)) throw new Error("the task is not in the store");
  const entries: Uint8Array[] = [];
  for await (const entry of store.read(log.name, 0)) entries.push(entry);
  return { prefix: log.name.slice(0, -taskId.length), entries };
}

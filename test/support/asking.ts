import {
  type Agent,
  type AgentContext,
  type Agents,
  type CallOptions,
  connect,
  defineAgent,
  type Server,
  type Task,
} from "../../src/index.ts";
import { startServer } from "./server.ts";

/** A promise, and what settles it. */
export function deferred<T>() {
  let resolve = (_value: T) => {};
  let reject = (_reason: unknown) => {};
  const promise = new Promise<T>((...settle) => {
    [resolve, reject] = settle;
  });
  return { promise, resolve, reject };
}

/** Where the agents are that others ask. */
export type Where = "of the same server" | "of another server";
export const everywhere: readonly Where[] = ["of the same server", "of another server"];

const clients = new Set<Agents>();
afterAll(() => {
  for (const agents of clients) agents.close();
});

/** An agent that can do what it is called. */
export function specialist(name: string, run: Agent["run"]): Agent {
  return defineAgent({ name, capabilities: [name], run });
}

/** Starts a server of `front`, and others that it can ask. @returns a client of it. */
export async function startTeam(front: Agent, where: Where, others: readonly Agent[]): Promise<Agents> {
  const { url } = await (where === "of the same server" ? startOne(front, others) : startTwo(front, others));
  const agents = connect(url);
  clients.add(agents);
  return agents;
}

function startOne(front: Agent, others: readonly Agent[]): Promise<Server> {
  return startServer({ agents: [front, ...others], memory: true });
}

async function startTwo(front: Agent, others: readonly Agent[]): Promise<Server> {
  const { url: registry } = await startServer({ agents: [], registry: true });
  await startServer({ agents: [...others], register: { registry }, memory: true });
  return startServer({ agents: [front], discover: { registry, waitForReady: true } });
}

/** Does something inside an agent that can ask the others. @returns what it gives, or fails as it does. */
export async function inAgent<T>(
  { where, others, call = {} }: { where: Where; others: readonly Agent[]; call?: CallOptions },
  act: (ctx: AgentContext, task: Task) => Promise<T>,
): Promise<T> {
  const { promise, resolve, reject } = deferred<T>();
  const front = defineAgent({
    name: "front",
    async *run(task, ctx) {
      await act(ctx, task).then(resolve, reject);
      yield "done";
    },
  });
  const agents = await startTeam(front, where, others);
  const [result] = await Promise.all([promise, agents.process("go", call).catch(() => {})]); // what `act` gives tells more
  return result;
}

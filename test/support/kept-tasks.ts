import { type Agent, type Agents, type CallOptions, connect, defineAgent, type Server, type Store } from "../../src/index.ts";
import { startServer } from "./server.ts";

const clients: Agents[] = [];

afterAll(() => {
  for (const agents of clients) agents.close();
});

/** An agent that says which run it is, and the rest when it is opened. */
export function createCounting() {
  const runs: string[] = [];
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const agent = defineAgent({
    name: "counting",
    restartable: true,
    async *run({ id }) {
      runs.push(id);
      yield `run ${runs.length}`;
      await opened;
      yield ", whole";
    },
  });
  return { agent, runs, open };
}

/** A server of an agent, as a client of it sees it. */
export async function serve(agent: Agent, store: Store): Promise<Agents> {
  return reach(await startServer({ agents: [agent], store }));
}

export function reach({ url }: Server): Agents {
  const agents = connect(url);
  clients.push(agents);
  return agents;
}

export const task = { taskId: "t-1", content: "x" };

/** @param begun called with what a run says first. */
export async function textOf(
  agents: Agents,
  begun: (run: string) => void = () => {},
  { asked = task, ...options }: CallOptions & { readonly asked?: typeof task } = {},
): Promise<string> {
  let text = "";
  for await (const chunk of agents.stream(asked, options)) {
    if (chunk.text.startsWith("run")) begun(chunk.text);
    text += chunk.text;
  }
  return text;
}

/** Counts what is seen, and waits until something has been seen so often. */
export function createTally() {
  const counts = new Map<string, number>();
  let counted = () => {};
  return {
    note(what: string): void {
      counts.set(what, (counts.get(what) ?? 0) + 1);
      counted();
    },
    async times(what: string, count: number): Promise<void> {
      while ((counts.get(what) ?? 0) < count) {
        await new Promise<void>((resolve) => {
          counted = resolve;
        });
      }
    },
  };
}

import { setTimeout as pause } from "node:timers/promises";
import type { TokenChunk } from "../../src/contract/index.ts";
import { type Agents, ConnectError } from "../../src/index.ts";

/** The agents of kept-server.ts. */
export type AgentName = "once" | "again";

/** A task, as its caller saw it. */
export interface SeenTask {
  readonly id: string;
  readonly agent: AgentName;
  /** How many pieces were asked for. */
  readonly pieces: number;
  /** When it was asked for, by `Date.now`. */
  readonly begunMs: number;
  readonly chunks: readonly TokenChunk[];
  /** When each of them arrived, and the error, by `Date.now`. */
  readonly times: readonly number[];
  /** How its stream ended; undefined when it went on to the last chunk. */
  readonly error: ConnectError | undefined;
  readonly isOver: boolean;
}

/** Callers that ask for one task after another. */
export interface TaskReaders {
  readonly tasks: readonly SeenTask[];
  /** Those whose streams are open. */
  open(): SeenTask[];
  /** Begins no more, and settles when the last stream is over. */
  stop(): Promise<void>;
}

export interface TaskReadersOptions {
  readonly agents: Agents;
  /** Callers at once, half of them for each agent. */
  readonly count: number;
  /** For the next task. */
  readonly pieces: () => number;
  /** Whether one may begin; a server that is not there refuses it. Default: always. */
  readonly mayBegin?: () => boolean;
}

const pollMs = 20;

export function startReaders({ agents, count, pieces, mayBegin = () => true }: TaskReadersOptions): TaskReaders {
  const tasks: SeenTask[] = [];
  let isStopping = false;
  const read = async (agent: AgentName) => {
    while (!isStopping) {
      const seen = mayBegin() ? await readTask(agents, { agent, pieces: pieces() }, { tasks }) : undefined;
      if (seen === undefined || seen.error !== undefined) await pause(pollMs);
    }
  };
  const reading = Array.from({ length: count }, (_, index) => read(index % 2 === 0 ? "once" : "again"));
  return {
    tasks,
    open: () => tasks.filter(({ isOver }) => !isOver),
    async stop() {
      isStopping = true;
      await Promise.all(reading);
    },
  };
}

interface Noting {
  /** Where it is noted. */
  readonly tasks: SeenTask[];
  /** Told of each chunk. */
  readonly onChunk?: () => void;
}

/** Asks for one task, and notes what comes. Never throws. */
export async function readTask(
  agents: Agents,
  { agent, pieces }: Pick<SeenTask, "agent" | "pieces">,
  { tasks, onChunk }: Noting,
): Promise<SeenTask> {
  const chunks: TokenChunk[] = [];
  const times: number[] = [];
  const id = crypto.randomUUID();
  const seen = {
    id,
    agent,
    pieces,
    begunMs: Date.now(),
    chunks,
    times,
    error: undefined as ConnectError | undefined,
    isOver: false,
  }; // set below
  tasks.push(seen);
  try {
    for await (const chunk of agents.agent(agent).stream({ taskId: id, content: String(pieces) })) {
      chunks.push(chunk);
      times.push(Date.now());
      onChunk?.();
    }
  } catch (thrown) {
    seen.error = ConnectError.from(thrown);
    times.push(Date.now());
  }
  seen.isOver = true;
  return seen;
}

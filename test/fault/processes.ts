import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

/** A process at work that takes orders. */
export interface Worker<Ready> {
  /** What it said first. */
  readonly ready: Ready;
  tell(order: object): void;
  /** Tells it, and waits for what it says next. */
  ask<Answer>(order: object, patienceMs?: number): Promise<Answer>;
  /** Sends a signal; SIGSTOP and SIGCONT let it sleep and wake it. */
  signal(name: NodeJS.Signals): void;
  /** Waits until it has ended. */
  ended(): Promise<void>;
  /** kill -9. */
  kill(): Promise<void>;
}

/** A file of this folder, and how Node has to run it. */
export interface Program {
  readonly file: string;
  readonly flags: readonly string[];
}

/** Starts processes, and ends them all. */
export interface Processes {
  /** Starts a file of this folder, with flags for Node if it has to have some, and waits until it says something. */
  start<Ready>(program: string | Program, ...args: readonly string[]): Promise<Worker<Ready>>;
  stop(): Promise<void>;
}

/** For a process to start or to answer. */
const defaultPatienceMs = 15_000;

export function createProcesses(): Processes {
  const running = new Set<Pick<Worker<void>, "kill">>();
  return {
    async start<Ready>(program: string | Program, ...args: readonly string[]) {
      const worker = startWorker(typeof program === "string" ? { file: program, flags: [] } : program, args);
      running.add(worker);
      void worker.ended().then(() => running.delete(worker));
      const ready = await worker.heard<Ready>(defaultPatienceMs);
      return { ...worker, ready };
    },
    async stop() {
      await Promise.all([...running].map((worker) => worker.kill()));
    },
  };
}

function startWorker({ file, flags }: Program, args: readonly string[]) {
  const child = fork(join(import.meta.dirname, file), args, { execArgv: [...flags] });
  const exit = once(child, "exit").then(() => {});
  const heard = async <Message>(patienceMs: number): Promise<Message> => {
    const [message] = await once(child, "message", { signal: AbortSignal.timeout(patienceMs) });
    return message as Message; // our own child says it
  };
  const signal = (name: NodeJS.Signals) => void child.kill(name);
  return {
    ready: undefined,
    heard,
    signal,
    tell: (order: object) => void child.send(order),
    async ask<Answer>(order: object, patienceMs = defaultPatienceMs) {
      const answer = heard<Answer>(patienceMs);
      child.send(order);
      return await answer;
    },
    ended: () => exit,
    kill() {
      signal("SIGKILL");
      return exit;
    },
  };
}

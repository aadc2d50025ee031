import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Order } from "./replica.ts";

/** A replica at work. */
export interface Replica {
  readonly name: string;
  readonly url: string;
  readonly port: number;
  /** Calls that its agent has seen. */
  count(): Promise<number>;
  /** From now on it fails each call at once, or no longer. */
  fail(failing: boolean): void;
  /** kill -9. */
  kill(): Promise<void>;
  /** Drains, and ends by itself. */
  drain(): Promise<void>;
}

/** A client in a process of its own. */
export interface Caller {
  /** The calls a second that it makes in that time. */
  measure(durationMs: number): Promise<number>;
}

/** Starts replicas, and clients where they have to be alone, and ends them all. */
export interface Replicas {
  start(name: string, options?: { port?: number; delayMs?: number }): Promise<Replica>;
  startCaller(kind: "plain" | "balanced", url: string): Promise<Caller>;
  stop(): Promise<void>;
}

/** For a process to start or to answer. */
const patienceMs = 15_000;

export function createReplicas(): Replicas {
  const running = new Set<ChildProcess>();
  const run = (file: string, ...args: readonly string[]) => {
    const child = fork(join(import.meta.dirname, file), args, { execArgv: [] });
    running.add(child);
    child.once("exit", () => running.delete(child));
    return child;
  };
  return {
    async start(name, { port = 0, delayMs = 0 } = {}) {
      const child = run("replica.ts", name, String(port), String(delayMs));
      const ready = await answer<{ port: number }>(child);
      return replicaOf(child, { name, port: ready.port });
    },
    async startCaller(kind, url) {
      const child = run("caller.ts", kind, url);
      await answer(child);
      return {
        async measure(durationMs) {
          const measured = answer<{ callsPerSecond: number }>(child);
          child.send({ durationMs });
          return (await measured).callsPerSecond;
        },
      };
    },
    async stop() {
      await Promise.all([...running].map(kill));
    },
  };
}

function replicaOf(child: ChildProcess, { name, port }: { name: string; port: number }): Replica {
  const tell = (order: Order) => child.send(order);
  return {
    name,
    port,
    url: `http://127.0.0.1:${port}`,
    async count() {
      const counted = answer<{ count: number }>(child);
      tell({ order: "count" });
      return (await counted).count;
    },
    fail: (failing) => tell({ order: "fail", failing }),
    kill: () => kill(child),
    async drain() {
      const ended = once(child, "exit");
      tell({ order: "drain" });
      await ended;
    },
  };
}

async function answer<T>(child: ChildProcess): Promise<T> {
  const [message] = await once(child, "message", { signal: AbortSignal.timeout(patienceMs) });
  return message as T; // our own child says it
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

import type { RegisterOptions } from "../../src/index.ts";
import type { Processes, Worker } from "./processes.ts";
import type { Listening, Order } from "./replica.ts";

/** A replica at work. */
export interface Replica {
  readonly name: string;
  readonly url: string;
  readonly port: number;
  /** When it began to listen, and to register, by `Date.now`. */
  readonly sinceMs: number;
  /** Calls that its agent has seen. */
  count(): Promise<number>;
  /** From now on it fails each call at once, or no longer. */
  fail(failing: boolean): void;
  /** SIGSTOP: it does nothing, and does not know it. */
  sleep(): void;
  /** SIGCONT. */
  wake(): void;
  /** kill -9. */
  kill(): Promise<void>;
  /** SIGTERM: drains, and ends by itself. */
  drain(): Promise<void>;
}

/** A client in a process of its own. */
export interface Caller {
  /** The calls a second that it makes in that time. */
  measure(durationMs: number): Promise<number>;
}

export interface ReplicaOptions {
  /** Default: a free one. */
  readonly port?: number;
  /** How long a call takes. Default 0. */
  readonly delayMs?: number;
  /** Where it registers. Default: nowhere. */
  readonly register?: RegisterOptions;
}

/** Starts replicas, and clients where they have to be alone. */
export interface Replicas {
  start(name: string, options?: ReplicaOptions): Promise<Replica>;
  startCaller(kind: "plain" | "balanced", url: string): Promise<Caller>;
}

export function createReplicas(processes: Processes): Replicas {
  return {
    async start(name, options = {}) {
      return replicaOf(await processes.start<Listening>("replica.ts", name, JSON.stringify(options)), name);
    },
    async startCaller(kind, url) {
      const worker = await processes.start("caller.ts", kind, url);
      return {
        async measure(durationMs) {
          return (await worker.ask<{ callsPerSecond: number }>({ durationMs })).callsPerSecond;
        },
      };
    },
  };
}

function replicaOf(worker: Worker<Listening>, name: string): Replica {
  const { port, sinceMs } = worker.ready;
  return {
    name,
    port,
    sinceMs,
    url: `http://127.0.0.1:${port}`,
    async count() {
      return (await worker.ask<{ count: number }>({ order: "count" } satisfies Order)).count;
    },
    fail: (failing) => worker.tell({ order: "fail", failing } satisfies Order),
    sleep: () => worker.signal("SIGSTOP"),
    wake: () => worker.signal("SIGCONT"),
    kill: () => worker.kill(),
    drain() {
      worker.signal("SIGTERM");
      return worker.ended();
    },
  };
}

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CertificatePaths } from "../../src/identity/index.ts";
import type { Late, Order, Ran } from "./keeping-server.ts";
import type { Processes } from "./processes.ts";

export interface KeepingOptions {
  readonly name: string;
  /** The store's file, which servers may share. */
  readonly path: string;
  /** Between two pieces of an agent's answer. */
  readonly paceMs: number;
  /** Default: clear text. */
  readonly tls?: CertificatePaths;
}

/** A server that keeps its tasks in a file. */
export interface KeepingServer {
  readonly port: number;
  readonly url: string;
  /** The tasks of all runs that have begun here. */
  runs(): Promise<readonly string[]>;
  /** Lets appends wait before they reach the store; settles when those of so many logs do. */
  hold(logs: number): Promise<void>;
  /** Lets them go on. */
  release(): Promise<Late>;
  /** SIGSTOP: it does nothing, and does not know it. */
  sleep(): void;
  /** SIGCONT. */
  wake(): void;
}

export async function startKeepingServer(processes: Processes, options: KeepingOptions): Promise<KeepingServer> {
  const worker = await processes.start<{ port: number }>("keeping-server.ts", JSON.stringify(options));
  const { port } = worker.ready;
  const ask = <Answer>(order: Order) => worker.ask<Answer>(order);
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    runs: async () => (await ask<Ran>({ order: "runs" })).runs,
    async hold(logs) {
      await ask({ order: "hold", logs });
    },
    release: () => ask<Late>({ order: "release" }),
    sleep: () => worker.signal("SIGSTOP"),
    wake: () => worker.signal("SIGCONT"),
  };
}

/** Gives a folder for as long as the work takes. */
export async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "convoke-fault-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

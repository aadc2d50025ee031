import type { KeptServerOptions, ServeOrder, Serving } from "./kept-server.ts";
import type { Processes } from "./processes.ts";

/** A server that keeps its tasks in a store. */
export interface KeptServer extends Serving {
  readonly url: string;
  /** kill -9. */
  kill(): Promise<void>;
  /** Settles when it has ended, however that came. */
  ended(): Promise<void>;
}

/** A process that has loaded all, and waits for the order to serve. */
export interface Standby {
  /** Opens the store and listens. */
  serve(port?: number): Promise<KeptServer>;
}

/** Starts a process that has yet to be told to serve: what Node takes to load it is no part of a restart. */
export async function startStandby(processes: Processes, options: KeptServerOptions): Promise<Standby> {
  const worker = await processes.start("kept-server.ts", JSON.stringify(options));
  return {
    async serve(port = 0) {
      const serving = await worker.ask<Serving>({ port } satisfies ServeOrder);
      return { ...serving, url: `http://127.0.0.1:${serving.port}`, kill: () => worker.kill(), ended: () => worker.ended() };
    },
  };
}

import type { Processes } from "./processes.ts";
import type { Usage } from "./registry-process.ts";

/** A registry at work. */
export interface RegistryProcess {
  readonly url: string;
  readonly port: number;
  usage(): Promise<Usage>;
  /** kill -9: all that it knew is lost. */
  kill(): Promise<void>;
}

export async function startRegistry(processes: Processes, port = 0): Promise<RegistryProcess> {
  const worker = await processes.start<{ port: number }>("registry-process.ts", String(port));
  return {
    port: worker.ready.port,
    url: `http://127.0.0.1:${worker.ready.port}`,
    usage: () => worker.ask<Usage>({}),
    kill: () => worker.kill(),
  };
}

import type { Subject } from "./case.ts";
import type { Done, Job } from "./clients/client.ts";
import { timeoutOf } from "./processes.ts";

/** A client process and the server process that it calls. */
export interface Pair {
  readonly client: string;
  readonly server: string;
}

/** Every client with the server that its users would give it. */
export const endToEnd = {
  convoke: { client: "convoke", server: "convoke" },
  "connect-node": { client: "connect-node", server: "connect-node" },
  "grpc-js": { client: "grpc-js", server: "grpc-js" },
  "nice-grpc": { client: "nice-grpc", server: "nice-grpc" },
  fetch: { client: "fetch", server: "fastify" },
  undici: { client: "undici", server: "fastify" },
} satisfies Record<string, Pair>;

/** Every client with a server that is faster than any of them, so that the client is what is measured. */
export const clientAlone = {
  convoke: { client: "convoke", server: "raw" },
  "connect-node": { client: "connect-node", server: "raw" },
  "grpc-js": { client: "grpc-js", server: "raw" },
  "nice-grpc": { client: "nice-grpc", server: "raw" },
  fetch: { client: "fetch", server: "fastify" },
  undici: { client: "undici", server: "fastify" },
} satisfies Record<string, Pair>;

/** A job without its duration. */
export type JobShape = Job extends infer Each ? (Each extends Job ? Omit<Each, "durationMs"> : never) : never;

/** Subjects that do one job again and again; the value is how much was done in a second. */
export function pairSubjects(pairs: Readonly<Record<string, Pair>>, shape: JobShape): Subject[] {
  return Object.entries(pairs).map(([name, { client, server }]) => ({
    name,
    async start({ processes }) {
      const { url } = await processes.startServer(server);
      const { ask } = await processes.startClient(client, url);
      return async (durationMs) => {
        const { count, elapsedMs } = await ask<Done>({ ...shape, durationMs }, timeoutOf(durationMs));
        return (count / elapsedMs) * 1_000;
      };
    },
  }));
}

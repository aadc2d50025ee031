import { AgentService } from "convoke/contract";
import type { Subject } from "./case.ts";
import type { Done } from "./clients/client.ts";
import type { StreamsJob } from "./clients/streams-http2.ts";
import { type ServerOptions, timeoutOf } from "./processes.ts";
import { grpcAio } from "./tools.ts";

export interface StreamsOptions {
  readonly service: string;
  readonly contentType: string;
  /** The client process that counts. */
  readonly client: "streams-http1" | "streams-http2";
  readonly server?: ServerOptions;
  /** Streams at once. Default 4. */
  readonly streams?: number;
  /** As of {@link StreamsJob}. */
  readonly agent?: NonNullable<StreamsJob["agent"]>;
}

/** A server in its own process, whose streams are counted message by message in another. */
export function countedServer(name: string, options: StreamsOptions): Subject {
  const { service, contentType, client, server, streams = 4, agent } = options;
  const path = `/${service}/${AgentService.method.streamResponse.name}`;
  return {
    name,
    ...(name === "grpc.aio" && { needs: [grpcAio] }),
    async start({ processes }) {
      const { url } = await processes.startServer(name, server);
      const { ask } = await processes.startClient(client, url);
      return async (durationMs) => {
        const job: StreamsJob = { path, contentType, streams, durationMs, ...(agent && { agent }) };
        const { count, elapsedMs } = await ask<Done>(job, timeoutOf(durationMs));
        return (count / elapsedMs) * 1_000;
      };
    },
  };
}

import { AgentService } from "convoke/contract";
import type { BenchCase, Subject } from "../case.ts";
import type { Done } from "../clients/client.ts";
import type { StreamsJob } from "../clients/streams-http2.ts";
import { timeoutOf } from "../processes.ts";
import { grpcAio } from "../tools.ts";

const method = AgentService.method.streamResponse.name;

function subject(name: string, service: string = AgentService.typeName): Subject {
  return {
    name,
    ...(name === "grpc.aio" && { needs: [grpcAio] }),
    async start({ processes }) {
      const { url } = await processes.startServer(name);
      const client = await processes.startClient("streams-http2", url);
      return async (durationMs) => {
        const job: StreamsJob = { path: `/${service}/${method}`, contentType: "application/grpc", streams: 4, durationMs };
        const { count, elapsedMs } = await client.ask<Done>(job, timeoutOf(durationMs));
        return (count / elapsedMs) * 1_000;
      };
    },
  };
}

export const cases: readonly BenchCase[] = [
  {
    name: "server-streaming",
    title: "Server: gRPC server streaming, 4 streams of 2,000 messages at once",
    unit: "messages/s",
    better: "higher",
    floors: { "grpc-js": { floor: 2, aim: 3 } },
    subjects: [
      subject("convoke"),
      subject("connect-node"),
      subject("grpc-js"),
      subject("nice-grpc"),
      subject("grpc.aio", "agent.AgentService"),
    ],
  },
];

import { AgentService } from "convoke/contract";
import type { BenchCase } from "../case.ts";
import { countedServer } from "../streams.ts";

const grpc = { service: AgentService.typeName, contentType: "application/grpc", client: "streams-http2" } as const;

export const cases: readonly BenchCase[] = [
  {
    name: "server-streaming",
    title: "Server: gRPC server streaming, 4 streams of 2,000 messages at once",
    unit: "messages/s",
    better: "higher",
    floors: { "grpc-js": { floor: 2, aim: 3 } },
    subjects: [
      ...["convoke", "connect-node", "grpc-js", "nice-grpc"].map((name) => countedServer(name, grpc)),
      countedServer("grpc.aio", { ...grpc, service: "agent.AgentService" }),
    ],
  },
];

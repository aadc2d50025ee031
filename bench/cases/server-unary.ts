import type { BenchCase } from "../case.ts";
import { batched, http1, type Load, loadedServer, oneByOne, requests } from "../h2load.ts";
import * as tools from "../tools.ts";

const common = { unit: "calls/s", better: "higher", needs: [tools.h2load] } as const;

function subjects(load: Load) {
  return [
    loadedServer("convoke", { ...requests.grpc, ...load }),
    loadedServer("connect-node", { ...requests.grpc, ...load }),
    loadedServer("grpc-js", { ...requests.grpc, ...load }),
    loadedServer("nice-grpc", { ...requests.grpc, ...load }),
    loadedServer("grpc.aio", { ...requests.firstGrpc, ...load }),
    loadedServer("bare", { ...requests.grpc, ...load }),
    loadedServer("fastify", { ...requests.rest, ...http1 }),
  ];
}

export const cases: readonly BenchCase[] = [
  {
    ...common,
    name: "server-unary-batched",
    title: "Server: gRPC unary, 4 connections × 32 calls (REST: 64 connections)",
    floors: { "connect-node": { floor: 5 }, "grpc-js": { floor: 1.1, aim: 1.4 } },
    subjects: subjects(batched),
  },
  {
    ...common,
    name: "server-unary-64x1",
    title: "Server: gRPC unary, 64 connections × 1 call (REST: 64 connections)",
    subjects: subjects(oneByOne),
  },
];

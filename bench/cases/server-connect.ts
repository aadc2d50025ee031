import type { BenchCase } from "../case.ts";
import { batched, http1, loadedServer, requests } from "../h2load.ts";
import * as tools from "../tools.ts";

const common = {
  unit: "calls/s",
  better: "higher",
  needs: [tools.h2load],
  floors: { "connect-node": { floor: 4, aim: 6 } },
} as const;

export const cases: readonly BenchCase[] = [
  {
    ...common,
    name: "server-connect-binary",
    title: "Server: Connect unary in protobuf, 4 connections × 32 calls",
    subjects: ["convoke", "connect-node", "bare"].map((name) => loadedServer(name, { ...requests.connectBinary, ...batched })),
  },
  {
    ...common,
    name: "server-connect-json",
    title: "Server: Connect unary in JSON, 4 connections × 32 calls (REST: 64 connections)",
    subjects: [
      ...["convoke", "connect-node"].map((name) => loadedServer(name, { ...requests.connectJson, ...batched })),
      loadedServer("fastify", { ...requests.rest, ...http1 }),
    ],
  },
];

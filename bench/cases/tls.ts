import type { BenchCase } from "../case.ts";
import { batched, loadedServer, requests } from "../h2load.ts";
import * as tools from "../tools.ts";

export const cases: readonly BenchCase[] = [
  {
    name: "tls",
    title: "Server: gRPC unary over TLS 1.3, 4 connections × 32 calls",
    unit: "calls/s",
    better: "higher",
    needs: [tools.h2load],
    subjects: ["convoke", "connect-node", "grpc-js"].map((name) =>
      loadedServer(name, { ...requests.grpc, ...batched, server: { tls: true } }),
    ),
  },
];

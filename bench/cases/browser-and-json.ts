import { AgentService } from "convoke/contract";
import type { BenchCase } from "../case.ts";
import { batched, http1, loadedServer, requests } from "../h2load.ts";
import { countedServer } from "../streams.ts";
import * as tools from "../tools.ts";

const peers = ["convoke", "connect-node"];
const common = { better: "higher", floors: { "connect-node": { floor: 1 } } } as const;
const calls = { ...common, unit: "calls/s", needs: [tools.h2load] } as const;
const overHttp1 = { ...http1, server: { http1: true } };

export const cases: readonly BenchCase[] = [
  {
    ...calls,
    name: "browser-and-json-grpc-web-http2",
    title: "Server: gRPC-Web unary over HTTP/2, 4 connections × 32 calls",
    subjects: peers.map((name) => loadedServer(name, { ...requests.grpcWeb, ...batched })),
  },
  {
    ...calls,
    name: "browser-and-json-grpc-web-http1",
    title: "Server: gRPC-Web unary over HTTP/1.1, 64 connections",
    subjects: peers.map((name) => loadedServer(name, { ...requests.grpcWeb, ...overHttp1 })),
  },
  {
    ...calls,
    name: "browser-and-json-connect-http1",
    title: "Server: Connect unary in JSON over HTTP/1.1, 64 connections",
    subjects: peers.map((name) => loadedServer(name, { ...requests.connectJson, ...overHttp1 })),
  },
  {
    ...common,
    name: "browser-and-json-streaming-http1",
    title: "Server: Connect server streaming in JSON over HTTP/1.1, 4 streams of 2,000 messages at once",
    unit: "messages/s",
    subjects: peers.map((name) =>
      countedServer(name, {
        service: AgentService.typeName,
        contentType: "application/connect+json",
        client: "streams-http1",
        server: { http1: true },
      }),
    ),
  },
];

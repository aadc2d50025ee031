import type { BenchCase } from "../case.ts";
import { clientAlone, pairSubjects } from "../pairs.ts";

const { fetch: _fetch, undici: _undici, ...grpcClients } = clientAlone; // REST has no client streaming

export const cases: readonly BenchCase[] = [
  {
    name: "client-streaming",
    title: "Client: messages sent, 4 streams of 2,000 at once",
    unit: "messages/s",
    better: "higher",
    floors: { "grpc-js": { floor: 1.5, aim: 3 } },
    subjects: pairSubjects(grpcClients, { job: "messages", streams: 4, perStream: 2_000 }),
  },
];

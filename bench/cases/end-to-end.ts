import type { BenchCase } from "../case.ts";
import { endToEnd, pairSubjects } from "../pairs.ts";

const common = { unit: "calls/s", better: "higher" } as const;

export const cases: readonly BenchCase[] = [
  {
    ...common,
    name: "end-to-end-unary-64",
    title: "End to end: unary, 64 calls in flight, each client with its own server (fetch, undici: Fastify)",
    floors: { fetch: { floor: 2, aim: 3 }, "grpc-js": { floor: 1.6, aim: 2 } },
    subjects: pairSubjects(endToEnd, { job: "calls", inFlight: 64 }),
  },
  {
    ...common,
    name: "end-to-end-unary-1",
    title: "End to end: unary, one call at a time",
    floors: { fetch: { floor: 1, aim: 2 } },
    subjects: pairSubjects(endToEnd, { job: "calls", inFlight: 1 }),
  },
];

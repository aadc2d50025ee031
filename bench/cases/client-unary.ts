import type { BenchCase } from "../case.ts";
import { clientAlone, pairSubjects } from "../pairs.ts";

const common = { unit: "calls/s", better: "higher" } as const;

export const cases: readonly BenchCase[] = [
  {
    ...common,
    name: "client-unary-1",
    title: "Client: unary, one call at a time",
    subjects: pairSubjects(clientAlone, { job: "calls", inFlight: 1 }),
  },
  {
    ...common,
    name: "client-unary-64",
    title: "Client: unary, 64 calls in flight",
    floors: { "grpc-js": { floor: 1.6, aim: 2.2 } },
    subjects: pairSubjects(clientAlone, { job: "calls", inFlight: 64 }),
  },
];

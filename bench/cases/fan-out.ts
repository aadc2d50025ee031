import type { BenchCase } from "../case.ts";
import { endToEnd, pairSubjects } from "../pairs.ts";

const { convoke, "connect-node": connectNode, "grpc-js": grpcJs } = endToEnd;

export const cases: readonly BenchCase[] = [
  {
    name: "fan-out-4",
    title: "End to end: four agents asked at once over one connection, then the next four",
    unit: "rounds/s",
    better: "higher",
    subjects: pairSubjects({ convoke, "connect-node": connectNode, "grpc-js": grpcJs }, { job: "rounds" }),
  },
];

import type { BenchCase } from "../case.ts";
import { batched, loadedServer, requests } from "../h2load.ts";
import * as tools from "../tools.ts";

export const cases: readonly BenchCase[] = [
  {
    name: "agent-api",
    title: "Server: gRPC unary to an agent, with task log and call log, beside the bare wire",
    unit: "calls/s",
    better: "higher",
    ours: "agent-api",
    floors: { "bare-wire": { floor: 0.6, aim: 0.8 } },
    needs: [tools.h2load],
    subjects: [
      loadedServer("agent-api", { ...requests.grpc, ...batched }),
      { ...loadedServer("convoke", { ...requests.grpc, ...batched }), name: "bare-wire" },
    ],
  },
];

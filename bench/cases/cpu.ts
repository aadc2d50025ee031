import type { BenchCase, Subject } from "../case.ts";
import { batched, h2load, requests } from "../h2load.ts";
import type { CpuReply } from "../servers/server.ts";
import * as tools from "../tools.ts";

function subject(name: string): Subject {
  return {
    name,
    async start({ processes }) {
      const { url, ask } = await processes.startServer(name);
      return async (durationMs) => {
        const before = await ask<CpuReply>({ question: "cpu" });
        const { calls } = await h2load(url, { ...requests.grpc, ...batched }, durationMs);
        const after = await ask<CpuReply>({ question: "cpu" });
        return (after.cpuUs - before.cpuUs) / calls;
      };
    },
  };
}

export const cases: readonly BenchCase[] = [
  {
    name: "cpu",
    title: "Server: processor time of a gRPC unary call, all threads, user and system",
    unit: "µs/call",
    better: "lower",
    needs: [tools.h2load],
    subjects: ["convoke", "connect-node", "grpc-js"].map(subject),
  },
];

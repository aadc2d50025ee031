import type { BenchCase, Subject } from "../case.ts";
import type { Done, Job, Latencies } from "../clients/client.ts";
import { endToEnd, type Pair } from "../pairs.ts";
import { timeoutOf } from "../processes.ts";

const parts = ["p50", "p99", "p99.9"] as const;

/** Enough for code to be compiled and the peak to be steady. */
const peakMs = { quick: 500, full: 1_500 };

/** Each at half of its own peak, found beforehand as `end-to-end-unary-64` finds it: the load that a well-run service is given. */
function subject(name: string, { client, server }: Pair): Subject {
  return {
    name,
    async start({ processes, quick }) {
      const { url } = await processes.startServer(server);
      const { ask } = await processes.startClient(client, url);
      const run = <Result>(job: Job) => ask<Result>(job, timeoutOf(job.durationMs));
      const closedLoop: Job = { job: "calls", inFlight: 64, durationMs: quick ? peakMs.quick : peakMs.full };
      await run<Done>(closedLoop);
      const { count, elapsedMs } = await run<Done>(closedLoop);
      const callsPerSecond = (count / elapsedMs) * 500;
      return async (durationMs) => {
        const latencies = await run<Latencies>({ job: "paced", callsPerSecond, durationMs });
        return parts.map((part) => latencies[part]);
      };
    },
  };
}

const { convoke, "connect-node": connectNode, "grpc-js": grpcJs, undici } = endToEnd;

export const cases: readonly BenchCase[] = [
  {
    name: "latency",
    title: "End to end: latency of unary calls that arrive at half of each one's peak rate",
    unit: "ms",
    better: "lower",
    parts,
    subjects: Object.entries({ convoke, "connect-node": connectNode, "grpc-js": grpcJs, undici }).map(([name, pair]) =>
      subject(name, pair),
    ),
  },
];

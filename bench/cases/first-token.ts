import type { BenchCase, Context, Subject } from "../case.ts";
import type { Latencies } from "../clients/client.ts";
import type { TasksJob } from "../clients/tasks.ts";
import { type Place, sqlitePlace } from "../kept-streams.ts";
import { timeoutOf } from "../processes.ts";

const parts = ["p50", "p99"] as const;

/** So that a hundredth of them is more than one. */
const leastMs = 1_000;

function subject(name: string, find: (context: Context) => Promise<Place | undefined>): Subject {
  return {
    name,
    async start(context) {
      const place = await find(context);
      const { url } = await context.processes.startServer("tasks", { args: place?.args ?? [] });
      const { ask } = await context.processes.startClient("tasks", url);
      return async (durationMs) => {
        const job: TasksJob = { job: "first-chunk", chunks: 16, durationMs: Math.max(durationMs, leastMs) };
        const latencies = await ask<Latencies>(job, timeoutOf(job.durationMs));
        return parts.map((part) => latencies[part]);
      };
    },
  };
}

export const cases: readonly BenchCase[] = [
  {
    name: "first-token",
    title:
      "Server: from the request to the first chunk of a task, one at a time; begun and said on the disk beforehand, or not",
    unit: "ms",
    better: "lower",
    ours: "sqlite",
    parts,
    floors: { "no-store": { within: 10 } },
    subjects: [subject("sqlite", sqlitePlace), subject("no-store", async () => undefined)],
  },
];

import type { BenchCase, Subject } from "../case.ts";
import type { Latencies } from "../clients/client.ts";
import type { StreamTimes, TasksJob } from "../clients/tasks.ts";
import { timeoutOf } from "../processes.ts";

/** Some thousand short answers first, until V8 has compiled what a call runs through: a process that serves has. */
const warmMs = 9_000;

/** And some hundred before each run: while the others are measured V8 puts a process that rests back to a small one. */
const rewarmMs = 1_500;

/** So that a median is one of many. */
const leastMs = 2_000;

function streaming(name: string, agent: string): Subject {
  return {
    name,
    async start({ processes }) {
      const { url } = await processes.startServer("agents");
      const { ask } = await processes.startClient("tasks", url);
      const warm = (durationMs: number) =>
        ask<StreamTimes>({ job: "stream", agent: `${agent}-brief`, durationMs }, timeoutOf(durationMs));
      await warm(warmMs);
      return async (durationMs) => {
        await warm(rewarmMs);
        const job: TasksJob = { job: "stream", agent, durationMs: Math.max(durationMs, leastMs) };
        const { firstUs, eachUs } = await ask<StreamTimes>(job, timeoutOf(job.durationMs));
        return [firstUs, eachUs];
      };
    },
  };
}

const asking: Subject = {
  name: "convoke",
  async start({ processes }) {
    const { url } = await processes.startServer("agents");
    const { ask } = await processes.startClient("tasks", url);
    return async (durationMs) => {
      const job: TasksJob = { job: "process", agent: "asking", durationMs: Math.max(durationMs, leastMs) };
      const { p50, p99 } = await ask<Latencies>(job, timeoutOf(job.durationMs));
      return [p50, p99];
    };
  },
};

export const cases: readonly BenchCase[] = [
  {
    name: "model-agent",
    title:
      "Server: a model that has each of 10,000 tokens when it is asked, in a process at work: from the request to the first token, and for each token",
    unit: "µs",
    better: "lower",
    ours: "model-agent",
    parts: ["first-token", "token"],
    figures: { "model-agent-first-token": 1_000, "model-agent-token": 20 },
    subjects: [streaming("model-agent", "model"), streaming("without-model", "plain")],
  },
  {
    name: "fan-out-agents",
    title: "An agent that asks four specialists of another server at once, each of which takes 50 ms",
    unit: "ms",
    better: "lower",
    parts: ["p50", "p99"],
    figures: { "fan-out-agents-p50": 60 },
    subjects: [asking],
  },
];

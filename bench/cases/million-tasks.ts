import type { BenchCase, Context } from "../case.ts";
import type { Latencies } from "../clients/client.ts";
import type { TasksJob } from "../clients/tasks.ts";
import { writeFinishedTasks } from "../finished-tasks.ts";
import { sqlitePlace } from "../kept-streams.ts";
import { timeoutOf } from "../processes.ts";

const tasks = { quick: 100_000, full: 1_000_000 };

/** Server and client have both just started, and V8 compiles for the first seconds: what is asked for is the latency of a server at work. */
const warmUpMs = 6_000;

/** From the start of the process, so with all that Node and the modules take, until it has answered for one of the tasks. */
async function start(context: Context) {
  const place = await sqlitePlace(context);
  const count = context.quick ? tasks.quick : tasks.full;
  const startMs = performance.now();
  await writeFinishedTasks(place.address, count);
  context.log(`${count.toLocaleString("en")} tasks were written in ${((performance.now() - startMs) / 1_000).toFixed(0)} s`);
  return async (durationMs: number) => {
    const job: TasksJob = { job: "get", tasks: count, durationMs };
    const startMs = performance.now();
    const server = await context.processes.startServer("tasks", { args: place.args });
    const readyMs = performance.now() - startMs;
    const client = await context.processes.startClient("tasks", server.url);
    const first = await client.ask<Latencies>({ ...job, durationMs: 1 });
    await client.ask({ ...job, durationMs: warmUpMs }, timeoutOf(warmUpMs));
    const { p50, p99 } = await client.ask<Latencies>(job, timeoutOf(durationMs));
    await Promise.all([client.stop(), server.stop()]);
    return [p50, p99, readyMs + first.p50];
  };
}

export const cases: readonly BenchCase[] = [
  {
    name: "million-tasks",
    title: "Server: GetTask among a million finished tasks (100,000 with --quick) in SQLite, and its start with them",
    unit: "ms",
    better: "lower",
    ours: "sqlite",
    runs: 3,
    parts: ["get-p50", "get-p99", "start"],
    figures: { "million-tasks-get-p99": 2, "million-tasks-start": 2_000 },
    subjects: [{ name: "sqlite", start }],
  },
];

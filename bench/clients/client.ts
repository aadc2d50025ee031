import type { TaskRequest } from "convoke/contract";
import { answerLines } from "../lines.ts";
import { taskRequest, taskRequests } from "../messages.ts";

/** A client of one server: what the jobs are made of. */
export interface Caller {
  /** Makes one unary call, writing the request anew, and checks the answer. */
  call(request: TaskRequest): Promise<void>;
  /** Sends messages on one stream, as fast as it takes them, and gives the number that the server counted. */
  send?(messages: number): Promise<number>;
}

/** What a client process is asked to do. */
export type Job =
  /** Calls one after another, in so many loops at once. */
  | { readonly job: "calls"; readonly inFlight: number; readonly durationMs: number }
  /** Rounds of one call to each of four agents at once, one round after another. */
  | { readonly job: "rounds"; readonly durationMs: number }
  /** Messages on so many streams at once. */
  | { readonly job: "messages"; readonly streams: number; readonly perStream: number; readonly durationMs: number }
  /** Calls that start at a fixed rate, whether or not the ones before have ended. */
  | { readonly job: "paced"; readonly callsPerSecond: number; readonly durationMs: number };

/** How much was done in the time, both measured from the first start to the last end. */
export interface Done {
  readonly count: number;
  readonly elapsedMs: number;
}

/** Milliseconds, counted from the time at which each call was meant to start. */
export interface Latencies {
  readonly p50: number;
  readonly p99: number;
  readonly "p99.9": number;
}

/** The frame of every client process. */
export function runClient(connect: (url: string) => Caller): void {
  const caller = connect(process.argv[2] ?? "");
  answerLines({}, (job: Job) => {
    switch (job.job) {
      case "calls":
        return repeat(job, job.inFlight, async () => {
          await caller.call(taskRequest);
          return 1;
        });
      case "rounds":
        return repeat(job, 1, async () => {
          await Promise.all(taskRequests.map((request) => caller.call(request)));
          return 1;
        });
      case "messages":
        return repeat(job, job.streams, () => sendAll(caller, job.perStream));
      case "paced":
        return callAtRate(caller, job);
    }
  });
}

async function sendAll(caller: Caller, messages: number): Promise<number> {
  const counted = await caller.send?.(messages);
  if (counted !== messages) throw new Error(`the server counted ${counted} of ${messages} messages`);
  return messages;
}

/** Does a thing again and again until time is over, in so many loops at once. */
export async function repeat(
  { durationMs }: { durationMs: number },
  loops: number,
  once: () => Promise<number>,
): Promise<Done> {
  const startMs = performance.now();
  const endMs = startMs + durationMs;
  let count = 0;
  const loop = async () => {
    while (performance.now() < endMs) {
      const done = await once(); // not in one expression with the sum, which other loops change meanwhile
      count += done;
    }
  };
  await Promise.all(Array.from({ length: loops }, loop));
  return { count, elapsedMs: performance.now() - startMs };
}

/**
 * Starts calls at even distances. The wait is a spin of the event loop, because timers are too coarse; a call that starts late, as the
 * process was busy, has its lateness in its latency, as a caller at that rate would.
 */
async function callAtRate(caller: Caller, { callsPerSecond, durationMs }: Job & { job: "paced" }): Promise<Latencies> {
  const total = Math.max(1, Math.floor((callsPerSecond * durationMs) / 1_000));
  const latenciesMs = new Float64Array(total);
  const startMs = performance.now();
  const calls: Promise<void>[] = [];
  while (calls.length < total) {
    const dueCount = Math.min(total, Math.ceil(((performance.now() - startMs) * callsPerSecond) / 1_000));
    while (calls.length < dueCount) {
      const index = calls.length;
      const intendedMs = startMs + (index * 1_000) / callsPerSecond;
      const done = () => {
        latenciesMs[index] = performance.now() - intendedMs;
      };
      calls.push(caller.call(taskRequest).then(done));
    }
    await new Promise(setImmediate);
  }
  await Promise.all(calls);
  return latenciesOf(latenciesMs);
}

/** @param ms is sorted. */
export function latenciesOf(ms: Float64Array): Latencies {
  ms.sort();
  const percentile = (share: number) => ms[Math.min(ms.length - 1, Math.floor(ms.length * share))] ?? 0;
  return { p50: percentile(0.5), p99: percentile(0.99), "p99.9": percentile(0.999) };
}

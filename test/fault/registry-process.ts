/**
 * A registry, as a process like `convoke registry`.
 *
 * Usage: registry-process.ts PORT, started with an IPC channel: it says `{ port }`, and answers what it is told with a {@link Usage}.
 */
import { existsSync, readFileSync } from "node:fs";
import { boundYoungGeneration } from "../../src/cli/young-generation.ts";
import { serve } from "../../src/index.ts";

/** What the process has used. */
export interface Usage {
  /** Processor time, of all its threads, in milliseconds. */
  readonly cpuMs: number;
  /** Resident memory, in MiB. */
  readonly residentMib: number;
  /** Time in which it had work and no processor, in milliseconds, as Linux tells it: what other programs do to the figures. */
  readonly waitedMs: number;
}

function usage(): Usage {
  const { user, system } = process.cpuUsage();
  const residentMib = process.memoryUsage().rss / (1024 * 1024);
  return { cpuMs: (user + system) / 1_000, residentMib, waitedMs: waitedMs() };
}

/** The second number of /proc/PID/schedstat, in nanoseconds (Linux, Documentation/scheduler/sched-stats). */
function waitedMs(): number {
  const [, waited = 0] = existsSync(schedstat) ? readFileSync(schedstat, "utf8").split(" ") : [];
  return Number(waited) / 1_000_000;
}

const schedstat = "/proc/self/schedstat";
boundYoungGeneration();
const [port = "0"] = process.argv.slice(2);
const server = await serve({ agents: [], registry: true, port: Number(port), log: { level: "silent" } });
process.on("message", () => void process.send?.(usage()));
process.on("disconnect", () => process.exit()); // nobody needs it any more
process.send?.({ port: server.port });

import { join } from "node:path";
import { seed } from "../support/random.ts";
import type { Fault } from "./fault.ts";
import { startKeepingServer, withFolder } from "./keeping-servers.ts";
import type { Processes } from "./processes.ts";
import type { Answers, Sending } from "./sender.ts";

export interface OneRunOptions extends Pick<Sending, "seed" | "withinMs"> {
  /** Processes of each kind. */
  readonly servers: number;
  readonly callers: number;
  /** How often they send the task together. */
  readonly sends: number;
}

/** What came of it. */
export interface OneRun {
  readonly runs: number;
  /** How often each answer came, and each failure. */
  readonly answers: ReadonlyMap<string, number>;
  readonly failures: ReadonlyMap<string, number>;
}

const pieces = 50;
const paceMs = 20;
const patienceMs = 40_000;

/** One task, sent by several processes to several servers that share a store. */
export function sendOneTask(processes: Processes, options: OneRunOptions): Promise<OneRun> {
  return withFolder(async (folder) => {
    const { seed, withinMs, sends, callers: count } = options;
    const path = join(folder, "store.db");
    const startServer = (_: unknown, index: number) => startKeepingServer(processes, { name: `server ${index}`, path, paceMs });
    const servers = await Promise.all(Array.from({ length: options.servers }, startServer));
    const urls = servers.map(({ url }) => url);
    const task = { taskId: "the-task", content: String(pieces) };
    const startCaller = (_: unknown, index: number) => {
      const times = Math.floor((sends + index) / count); // together, all of them
      const sending: Sending = { urls, task, seed: seed + index, times, withinMs };
      return processes.start("sender.ts", JSON.stringify(sending));
    };
    const callers = await Promise.all(Array.from({ length: count }, startCaller));
    const said = await Promise.all(callers.map((caller) => caller.ask<Answers>({}, patienceMs)));
    const runs = (await Promise.all(servers.map((server) => server.runs()))).flat();
    return {
      runs: runs.length,
      answers: sum(said.map(({ answers }) => answers)),
      failures: sum(said.map(({ failures }) => failures)),
    };
  });
}

function sum(counts: readonly Readonly<Record<string, number>>[]): ReadonlyMap<string, number> {
  const total = new Map<string, number>();
  for (const [key, count] of counts.flatMap((each) => Object.entries(each))) total.set(key, (total.get(key) ?? 0) + count);
  return total;
}

const size = { servers: 3, callers: 3, sends: 1_000 };

export const oneRun: Fault = {
  name: "one-run",
  title: `one task is sent ${size.sends} times by ${size.callers} processes to ${size.servers} servers that share a store: one run, equal answers`,
  async run({ processes, say }) {
    say(`SEED=${seed}`);
    const startMs = performance.now();
    const { runs, answers, failures } = await sendOneTask(processes, { ...size, seed, withinMs: 2_000 });
    const [most = 0] = answers.values();
    for (const [message, count] of failures) say(`${count} × ${message}`);
    return {
      met: runs === 1 && answers.size === 1 && most === size.sends,
      figures: `${runs} runs, ${answers.size} different answers, ${most} of ${size.sends} equal, within ${((performance.now() - startMs) / 1_000).toFixed(1)} s`,
    };
  },
};

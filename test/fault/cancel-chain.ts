import { type Agents, connect } from "../../src/index.ts";
import type { Fault } from "./fault.ts";
import { monotonicUs } from "./monotonic.ts";
import type { Worker } from "./processes.ts";
import { startRegistry } from "./registries.ts";

const names = ["a", "b", "c", "d"] as const;
const rounds = 100;
const mostMs = 100;

export const cancelChain: Fault = {
  name: "cancel-chain",
  title: `a cancel at the root of a chain of four agents, each a process, stops the last one within ${mostMs} ms`,
  async run({ processes, say }) {
    const registry = await startRegistry(processes);
    const workers: Worker<{ url: string }>[] = [];
    for (const [index, name] of names.entries()) {
      workers.push(await processes.start("chain-agent.ts", name, names[index + 1] ?? "", registry.url));
    }
    const [root, leaf] = [workers[0], workers.at(-1)];
    if (root === undefined || leaf === undefined) throw new Error("a chain has two ends");
    const agents = connect(root.ready.url);
    await untilAllAnswer(agents, leaf);
    const times: number[] = [];
    for (let round = 0; round < rounds; round++)
      times.push(await timeCancel(agents, leaf, round % 2 === 0 ? "reset" : "CancelTask"));
    agents.close();
    times.sort((one, other) => one - other);
    const [median = Number.NaN, longest = Number.NaN] = [times[rounds / 2], times.at(-1)];
    say(`${rounds} cancels, by a reset of the stream and by CancelTask in turn`);
    return {
      met: longest < mostMs,
      figures: `the last agent's signal fired after ${median.toFixed(1)} ms (median), ${longest.toFixed(1)} ms (longest)`,
    };
  },
};

/** Agents are found when they have registered. */
async function untilAllAnswer(agents: Agents, leaf: Worker<unknown>): Promise<void> {
  for (;;) {
    try {
      await timeCancel(agents, leaf, "reset");
      return;
    } catch {
      await new Promise(setImmediate);
    }
  }
}

/** Milliseconds from a cancel at the root to the last agent's signal. */
async function timeCancel(agents: Agents, leaf: Worker<unknown>, how: "reset" | "CancelTask"): Promise<number> {
  const controller = new AbortController();
  const taskId = crypto.randomUUID();
  let cancelledUs = 0;
  const stopped = leaf.ask<{ stoppedUs: number }>({});
  stopped.catch(() => {}); // a chain that is not there yet stops nobody
  try {
    for await (const chunk of agents.stream({ taskId, content: "work" }, { signal: controller.signal, timeoutMs: 10_000 })) {
      if (chunk.text !== "at work") continue;
      cancelledUs = monotonicUs();
      if (how === "reset") controller.abort();
      else void agents.cancel(taskId);
    }
  } catch (thrown) {
    if (cancelledUs === 0) throw thrown; // else that is the cancel
  }
  return ((await stopped).stoppedUs - cancelledUs) / 1_000;
}

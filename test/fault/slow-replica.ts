import { setTimeout as pause } from "node:timers/promises";
import { connect } from "../../src/index.ts";
import type { Fault } from "./fault.ts";
import { startLoad } from "./load.ts";

const callsPerSecond = 300;
const most = 0.1;

export const slowReplica: Fault = {
  name: "slow-replica",
  title: "one of three replicas takes ten times as long; it gets less than 10 % of the calls",
  async run({ replicas, say }) {
    const started = await Promise.all([
      replicas.start("fast", { delayMs: 5 }),
      replicas.start("fast too", { delayMs: 5 }),
      replicas.start("slow", { delayMs: 50 }),
    ]);
    const agents = connect({ urls: started.map(({ url }) => url) });
    const load = startLoad(callsPerSecond, async () => (await agents.process("who?", { timeoutMs: 10_000 })).content);
    await pause(10_000);
    await load.stop();
    agents.close();
    say([...load.answers].map(([name, count]) => `${name}: ${count} of ${load.offered} calls`).join(", "));
    const share = (load.answers.get("slow") ?? 0) / load.offered;
    return {
      met: share < most && load.failures.length === 0,
      figures: `the slow replica got ${(100 * share).toFixed(1)} % of the calls; ${load.failures.length} failed`,
    };
  },
};

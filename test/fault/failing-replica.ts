import { setTimeout as pause } from "node:timers/promises";
import { connect } from "../../src/index.ts";
import type { Fault } from "./fault.ts";
import { startLoad } from "./load.ts";

const callsPerSecond = 300;

export const failingReplica: Fault = {
  name: "failing-replica",
  title: "one of three replicas fails every call at once; it attracts no more than its third, and no call fails",
  async run({ replicas, say }) {
    const started = await Promise.all(["one", "two", "failing"].map((name) => replicas.start(name, { delayMs: 20 })));
    started[2]?.fail(true);
    const agents = connect({ urls: started.map(({ url }) => url) });
    const load = startLoad(callsPerSecond, async () => (await agents.process("who?", { timeoutMs: 10_000 })).content);
    await pause(8_000);
    await load.stop();
    agents.close();
    const seen = await Promise.all(started.map((replica) => replica.count()));
    say(started.map(({ name }, index) => `${name}: ${seen[index]} of ${load.offered} calls`).join(", "));
    const share = (seen[2] ?? 0) / load.offered;
    return {
      met: share < 1 / 3 && load.failures.length === 0,
      figures: `the failing replica got ${(100 * share).toFixed(1)} % of the calls; ${load.failures.length} failed`,
    };
  },
};

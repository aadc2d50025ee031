import { setTimeout as pause } from "node:timers/promises";
import { connect } from "../../src/index.ts";
import type { Fault } from "./fault.ts";
import { startLoad } from "./load.ts";
import type { Replica } from "./replicas.ts";

const callsPerSecond = 300;
const most = 1.2;

export const retryStorm: Fault = {
  name: "retry-storm",
  title:
    "all three replicas answer UNAVAILABLE for a while; what they see stays under 1.2 × what is offered, and then all is well",
  async run({ replicas, say }) {
    const started = await Promise.all(["one", "two", "three"].map((name) => replicas.start(name, { delayMs: 5 })));
    const agents = connect({ urls: started.map(({ url }) => url) });
    const load = startLoad(callsPerSecond, async () => (await agents.process("who?", { timeoutMs: 10_000 })).content);
    await pause(4_000);
    const before = { offered: load.offered, seen: await seenBy(started) };
    for (const replica of started) replica.fail(true);
    await pause(8_000);
    const during = { offered: load.offered - before.offered, seen: (await seenBy(started)) - before.seen };
    say(`in the storm ${during.offered} calls were offered, and the replicas saw ${during.seen}`);
    for (const replica of started) replica.fail(false);
    await pause(10_000);
    const failed = load.failures.length;
    const offered = load.offered;
    await pause(2_000);
    await load.stop();
    agents.close();
    const late = load.failures.length - failed;
    say(`${failed} calls failed in the storm and just after, and ${late} of ${load.offered - offered} ten seconds after it`);
    const ratio = during.seen / during.offered;
    return { met: ratio < most && late === 0, figures: `the replicas saw ${ratio.toFixed(2)} × the offered load` };
  },
};

async function seenBy(replicas: readonly Replica[]): Promise<number> {
  const counts = await Promise.all(replicas.map((replica) => replica.count()));
  return counts.reduce((sum, count) => sum + count, 0);
}

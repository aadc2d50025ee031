import { setTimeout as pause } from "node:timers/promises";
import { connect } from "../../src/index.ts";
import type { Fault } from "./fault.ts";
import { kindsOf, startLoad, until } from "./load.ts";

const callsPerSecond = 500;
/** How soon a replica that is there again has to get calls again. */
const backWithinMs = 10_000;

export const replicaLoss: Fault = {
  name: "replicas",
  title: `three replicas under ${callsPerSecond} calls/s: kill -9 one, restart it, drain another; no call fails, traffic is back in 10 s`,
  async run({ replicas, say }) {
    const [one, two, three] = await Promise.all(["one", "two", "three"].map((name) => replicas.start(name, { delayMs: 5 })));
    if (one === undefined || two === undefined || three === undefined) throw new Error("three were started");
    const agents = connect({ urls: [one.url, two.url, three.url] });
    const load = startLoad(callsPerSecond, async () => (await agents.process("who?", { timeoutMs: 10_000 })).content);
    const tell = (what: string) => {
      const shares = [...load.answers].map(([name, count]) => `${name} ${count}`).join(", ");
      say(`${what}: ${load.offered} calls, ${load.failures.length} failed; ${shares}`);
    };
    await pause(4_000);
    tell("all three are there");
    await one.kill();
    await pause(4_000);
    tell("one was killed");
    const again = await replicas.start("one again", { port: one.port, delayMs: 5 });
    const backMs = await until(() => load.answers.has(again.name), 2 * backWithinMs);
    await pause(4_000);
    tell(`it is there again, and had a call after ${Math.round(backMs)} ms`);
    await two.drain();
    await pause(3_000);
    await load.stop();
    tell("another was drained");
    agents.close();
    if (load.failures.length > 0) say(kindsOf(load.failures));
    const share = (load.answers.get(again.name) ?? 0) / load.offered;
    return {
      met: load.failures.length === 0 && backMs <= backWithinMs && share > 0.05,
      figures: `${load.failures.length} of ${load.offered} calls failed; traffic was back after ${Math.round(backMs)} ms`,
    };
  },
};

import { setTimeout as pause } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { AgentService } from "../../src/contract/index.ts";
import { createBalancedTransport, createRegistrySource, discoveredFeed } from "../../src/index.ts";
import type { Fault } from "./fault.ts";
import { follow } from "./followed.ts";
import { kindsOf, startLoad, until } from "./load.ts";
import { startRegistry } from "./registries.ts";

const callsPerSecond = 200;
const ttlMs = 10_000;
/** A minute is promised, and a run has less than a minute: this is more than four leases, so nothing lives on because one still held. */
const awayMs = 45_000;
/** How soon after the registry everybody has to be found again, and called. */
const backWithinMs = 8_000;

export const registryDown: Fault = {
  name: "registry-down",
  title: `the registry is killed (-9) for ${awayMs / 1_000} s, more than four leases, and loses everything: no call fails, all come back by themselves`,
  async run({ replicas, processes, say }) {
    const registry = await startRegistry(processes);
    const register = { registry: registry.url, ttlMs };
    const start = (name: string) => replicas.start(name, { register });
    const [one, two, three] = await Promise.all(["one", "two", "three"].map(start));
    if (one === undefined || two === undefined || three === undefined) throw new Error("three were started");
    await untilFound(registry.url, [one.url, two.url, three.url]);
    const source = createRegistrySource({ registry: registry.url });
    const followed = follow(source, "replica");
    const transport = createBalancedTransport({ endpoints: discoveredFeed(source, { agent: "replica" }) });
    const client = createClient(AgentService, transport);
    const load = startLoad(callsPerSecond, async () => {
      return (await client.processTask({ content: "who?", taskId: crypto.randomUUID() }, { timeoutMs: 10_000 })).content;
    });
    const tell = (what: string) => {
      const shares = [...load.answers].map(([name, count]) => `${name} ${count}`).join(", ");
      say(`${what}: ${load.offered} calls, ${load.failures.length} failed; ${shares}`);
    };
    await pause(1_000);
    tell("the registry is there");
    const killedMs = performance.now();
    await registry.kill();
    await pause(awayMs / 3);
    tell(`it has been away for ${awayMs / 3_000} s`);
    await three.kill();
    const late = await start("late");
    await pause(awayMs - (performance.now() - killedMs));
    tell("meanwhile three was killed, and another one started");
    await startRegistry(processes, registry.port);
    const backMs = performance.now();
    await untilFound(registry.url, [one.url, two.url, late.url]);
    const foundMs = performance.now() - backMs;
    await until(() => load.answers.has(late.name), backWithinMs);
    const calledMs = performance.now() - backMs;
    await load.stop();
    tell("it is there again, with nothing that it knew");
    transport.close();
    followed.stop();
    source.close();
    if (load.failures.length > 0) say(kindsOf(load.failures));
    const { fewest } = followed;
    return {
      met: load.failures.length === 0 && fewest === 3 && Math.max(foundMs, calledMs) <= backWithinMs,
      figures:
        `${load.failures.length} of ${load.offered} calls failed; followers never saw fewer than ${fewest} endpoints; ` +
        `after ${Math.round(foundMs)} ms a new client found all that live, after ${Math.round(calledMs)} ms the newest was called`,
    };
  },
};

/** Waits until a client that knows nothing finds exactly these, for as long as they have. */
async function untilFound(registry: string, urls: readonly string[]): Promise<void> {
  const wanted = urls.toSorted().join();
  const startMs = performance.now();
  for (let found = ""; found !== wanted && performance.now() - startMs < 2 * backWithinMs; await pause(100)) {
    const source = createRegistrySource({ registry });
    const endpoints = await source.discover({ agent: "replica" });
    found = endpoints
      .map(({ url }) => url)
      .sort()
      .join();
    source.close();
  }
}

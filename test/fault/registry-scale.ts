import { setTimeout as pause } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { RegistryService } from "../../src/contract/index.ts";
import type { RegistryClient } from "../../src/registry/index.ts";
import { createTransport } from "../../src/wire/index.ts";
import type { Renewals } from "./crowd.ts";
import type { Fault, Verdict } from "./fault.ts";
import { type Latencies, latenciesOf } from "./latency.ts";
import type { Worker } from "./processes.ts";
import { type RegistryProcess, startRegistry } from "./registries.ts";

const registrations = 10_000;
const mostShareOfCore = 0.1;
const mostDiscoverMs = 5;
const discoversPerSecond = 200;
/** Each figure is taken so often, and the median counts: what other programs do to it comes and goes, what the registry does stays. */
const rounds = 3;
/** Longer than it takes until the registry collects its garbage. */
const roundMs = 5_000;
const warmUpMs = 1_500;

/** What is asked for: a capability that so many agents have. */
const queries = [
  { agents: 10, capability: "one-of-ten" },
  { agents: 100, capability: "one-of-hundred" },
];

/**
 * Ten thousand registrants have machines of their own. Their garbage must not be collected on the registry's processor, and in small steps: with a large
 * young generation V8 would mark all of theirs over and over (docs/performance.md).
 */
const crowdProgram = { file: "crowd.ts", flags: ["--single-threaded-gc", "--max-semi-space-size=4"] };

/** What each part has at hand. */
interface Scene {
  readonly registry: RegistryProcess;
  readonly crowd: Worker<unknown>;
  readonly client: RegistryClient;
  say(line: string): void;
}

export const registryScale: Fault = {
  name: "registry-scale",
  title: `${registrations} registrations renew and tell their load: that takes under ${100 * mostShareOfCore} % of a core, and Discover's p99 is under ${mostDiscoverMs} ms`,
  async run({ processes, say }) {
    const registry = await startRegistry(processes);
    const empty = await registry.usage();
    const crowd = await processes.start(crowdProgram, registry.url, String(registrations));
    const full = await registry.usage();
    say(`${registrations} registered with ${Math.round(full.cpuMs - empty.cpuMs)} ms of processor time`);
    await pause(warmUpMs);
    const transport = createTransport({ baseUrl: registry.url });
    const scene = { registry, crowd, say, client: createClient(RegistryService, transport) };
    const verdicts = [await renewals(scene)];
    for (const query of queries) verdicts.push(await discovers(scene, query));
    transport.close();
    const { failures } = await crowd.ask<Renewals>({});
    const residentMib = (await registry.usage()).residentMib - empty.residentMib;
    return {
      met: failures === "" && verdicts.every(({ met }) => met),
      figures: `${verdicts.map(({ figures }) => figures).join("; ")}; ${Math.round(residentMib)} MiB beyond an empty registry; ${failures || "no renewal failed"}`,
    };
  },
};

/** What the renewals cost when nobody asks anything else. */
async function renewals({ registry, crowd, say }: Scene): Promise<Verdict> {
  const shares: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const before = { ...(await crowd.ask<Renewals>({})), startMs: performance.now() };
    const { usedMs, waited } = await during(registry, () => pause(roundMs));
    const elapsedMs = performance.now() - before.startMs;
    const perSecond = ((await crowd.ask<Renewals>({})).count - before.count) / (elapsedMs / 1_000);
    shares.push(usedMs / elapsedMs);
    say(`${Math.round(perSecond)} renewals/s: ${percent(usedMs / elapsedMs)} of a core${waited}`);
  }
  const share = median(shares);
  return { met: share < mostShareOfCore, figures: `renewals took ${percent(share)} of a core` };
}

/** How long Discover takes while all renew. */
async function discovers({ client, registry, say }: Scene, { agents, capability }: (typeof queries)[number]): Promise<Verdict> {
  let next = 0;
  const discover = async () => {
    const asked = `${capability}-${next++ % (registrations / agents)}`;
    const found = (await client.discover({ capability: asked })).agents.length;
    if (found !== agents) throw new Error(`${agents} agents can do ${asked}, and Discover gave ${found}`);
  };
  await latenciesOf(discover, { callsPerSecond: discoversPerSecond, durationMs: warmUpMs });
  const p99s: number[] = [];
  for (let round = 0; round < rounds; round++) {
    let latencies: Latencies = { p50: 0, p95: 0, p99: 0, max: 0 };
    const { waited } = await during(registry, async () => {
      latencies = await latenciesOf(discover, { callsPerSecond: discoversPerSecond, durationMs: roundMs });
    });
    const [p50, p99, max] = [latencies.p50, latencies.p99, latencies.max].map((ms) => ms.toFixed(2));
    say(`Discover of ${agents}, ${discoversPerSecond}/s: p50 ${p50} ms, p99 ${p99} ms, longest ${max} ms${waited}`);
    p99s.push(latencies.p99);
  }
  const p99 = median(p99s);
  return { met: p99 < mostDiscoverMs, figures: `Discover of ${agents} had a p99 of ${p99.toFixed(2)} ms` };
}

/** What the registry's process used meanwhile, and in words, how long other programs kept it waiting. */
async function during(registry: RegistryProcess, work: () => Promise<void>): Promise<{ usedMs: number; waited: string }> {
  const before = await registry.usage();
  await work();
  const after = await registry.usage();
  const waitedMs = Math.round(after.waitedMs - before.waitedMs);
  return { usedMs: after.cpuMs - before.cpuMs, waited: waitedMs > 0 ? ` (it waited ${waitedMs} ms for a processor)` : "" };
}

function median(figures: readonly number[]): number {
  return figures.toSorted((one, other) => one - other)[Math.floor(figures.length / 2)] ?? Number.NaN;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

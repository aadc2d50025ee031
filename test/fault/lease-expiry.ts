import { setTimeout as pause } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { RegistryService } from "../../src/contract/index.ts";
import { Code, ConnectError, createRegistrySource, type RegisterOptions } from "../../src/index.ts";
import type { RegistryClient } from "../../src/registry/index.ts";
import { createTransport } from "../../src/wire/index.ts";
import { type Discovered, discoverAgain, type Found } from "./discovered.ts";
import type { Fault, Verdict } from "./fault.ts";
import { type Followed, follow } from "./followed.ts";
import { summaryOf } from "./latency.ts";
import { until } from "./load.ts";
import { startRegistry } from "./registries.ts";
import type { Replica } from "./replicas.ts";

const ttlMs = 3_000;
/** How much longer than its lease a registration may be found. */
const graceMs = 1_000;
/** How soon a watch has to see a change. */
const seenWithinMs = 200;
const pairsOfChanges = 10;
const victims = 4;
/** For what has to happen within a lease and its grace, so that a failure is told and not waited for. */
const patienceMs = 2 * (ttlMs + graceMs);

/** What each part has at hand. */
interface Scene {
  readonly client: RegistryClient;
  readonly discovered: Discovered;
  readonly followed: Followed;
  /** Starts a replica that registers. */
  start(name: string, register?: RegisterOptions): Promise<Replica>;
}

export const leaseExpiry: Fault = {
  name: "lease-expiry",
  title: `registrants die (kill -9) or sleep: each is found for its lease and at most ${graceMs / 1_000} s more; a watch sees all within ${seenWithinMs} ms`,
  async run({ replicas, processes, say }) {
    const { url: registry } = await startRegistry(processes);
    const source = createRegistrySource({ registry });
    const transport = createTransport({ baseUrl: registry });
    const client = createClient(RegistryService, transport);
    const [discovered, followed] = [discoverAgain(client, "replica"), follow(source, "replica")];
    const start: Scene["start"] = (name, register) => replicas.start(name, { register: { registry, ttlMs, ...register } });
    const scene = { client, discovered, followed, start };
    const survivor = await start("survivor");
    await foundAt(scene, survivor.url);
    const verdicts: Verdict[] = [];
    for (const part of [comeAndGo, die, sleep, succeed]) {
      const verdict = await part(scene);
      say(`${verdict.met ? "" : "FAILED: "}${verdict.figures}`);
      verdicts.push(verdict);
    }
    const held = !discovered.wentAt.has(survivor.url);
    discovered.stop();
    followed.stop();
    source.close();
    transport.close();
    const met = held && verdicts.every((verdict) => verdict.met);
    const first = `one that renewed was ${held ? "" : "NOT "}found all the time`;
    return { met, figures: [first, ...verdicts.map(({ figures }) => figures)].join("; ") };
  },
};

/** Waits until Discover finds it, with this revision or a higher one. */
async function foundAt({ discovered }: Scene, url: string, revision = 0n): Promise<Found | undefined> {
  await until(() => (discovered.found.get(url)?.revision ?? -1n) >= revision, patienceMs);
  return discovered.found.get(url);
}

/** Registrants that start and drain (SIGTERM), one after another, as a watch sees them. */
async function comeAndGo({ followed, start }: Scene): Promise<Verdict> {
  const delaysMs: number[] = [];
  for (let pair = 0; pair < pairsOfChanges; pair++) {
    const replica = await start(`passing ${pair}`);
    await until(() => followed.cameAt.has(replica.url), patienceMs);
    const drainedAt = Date.now();
    await replica.drain();
    await until(() => followed.wentAt.has(replica.url), patienceMs);
    const [cameAt = Number.POSITIVE_INFINITY, wentAt = Number.POSITIVE_INFINITY] = [
      followed.cameAt.get(replica.url),
      followed.wentAt.get(replica.url),
    ];
    delaysMs.push(cameAt - replica.sinceMs, wentAt - drainedAt);
  }
  const { p50, max } = summaryOf(delaysMs);
  return { met: max < seenWithinMs, figures: `a watch saw ${delaysMs.length} changes after ${p50} ms (p50), ${max} ms (max)` };
}

/** Registrants that are killed as soon as they are found: their leases began with their registrations. */
async function die(scene: Scene): Promise<Verdict> {
  const { wentAt } = scene.discovered;
  const each = Array.from({ length: victims }, async (_, index) => {
    const { url, kill } = await scene.start(`victim ${index}`);
    const { registeredAt = Number.NaN } = (await foundAt(scene, url)) ?? {};
    await kill();
    const killedAt = Date.now();
    await until(() => wentAt.has(url), patienceMs);
    const goneAt = wentAt.get(url) ?? Number.POSITIVE_INFINITY;
    return { foundMs: goneAt - registeredAt, lateMs: goneAt - killedAt - ttlMs };
  });
  const ends = await Promise.all(each);
  const [least, most] = [Math.min(...ends.map(({ foundMs }) => foundMs)), Math.max(...ends.map(({ foundMs }) => foundMs))];
  const met = least >= ttlMs && ends.every(({ lateMs }) => lateMs <= graceMs);
  return { met, figures: `killed (-9), ${victims} with leases of ${ttlMs} ms were found for ${least} to ${most} ms` };
}

/** A registrant that sleeps over its lease (SIGSTOP) and is woken. */
async function sleep(scene: Scene): Promise<Verdict> {
  const sleeper = await scene.start("sleeper");
  const before = await foundAt(scene, sleeper.url);
  sleeper.sleep();
  await until(() => !scene.discovered.found.has(sleeper.url), patienceMs);
  const asleep = await renewal(scene.client, before);
  const wokenAt = Date.now();
  sleeper.wake();
  const after = await foundAt(scene, sleeper.url, (before?.revision ?? 0n) + 1n);
  const backMs = Date.now() - wokenAt;
  const stale = await renewal(scene.client, before);
  await sleeper.drain();
  return {
    met: after !== undefined && asleep === "NotFound" && stale === "FailedPrecondition",
    figures: `woken (SIGCONT), a sleeper was found again after ${backMs} ms; its old revision had been ${asleep}, and was ${stale} then`,
  };
}

/** A sleeper whose place another has taken when it wakes, and which then drains. */
async function succeed(scene: Scene): Promise<Verdict> {
  const { discovered, start } = scene;
  const sleeper = await start("sleeper");
  await foundAt(scene, sleeper.url);
  sleeper.sleep();
  await until(() => !discovered.found.has(sleeper.url), patienceMs);
  const successor = await start("successor", { endpoint: sleeper.url });
  const taken = await foundAt(scene, sleeper.url);
  const takenAt = Date.now();
  sleeper.wake();
  await pause(2 * ttlMs);
  await sleeper.drain();
  await pause(seenWithinMs);
  const kept = discovered.found.get(sleeper.url)?.revision;
  const met = taken !== undefined && kept === taken.revision && (discovered.wentAt.get(sleeper.url) ?? 0) < takenAt;
  await successor.drain();
  return { met, figures: `a sleeper that woke and drained ${met ? "left its successor alone" : "DISTURBED its successor"}` };
}

/** What comes of renewing a lease with a revision: the name of the code. */
async function renewal(client: RegistryClient, { leaseId, revision }: Partial<Found> = {}): Promise<string> {
  try {
    await client.renew({ leaseId: leaseId ?? "", revision: revision ?? 0n });
    return "renewed";
  } catch (thrown) {
    return Code[ConnectError.from(thrown).code];
  }
}

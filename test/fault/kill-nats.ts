import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { connect, createNatsStore } from "../../src/index.ts";
import { createLayout, logStreams } from "../../src/store/nats/subjects.ts";
import { type NatsCluster, startNats } from "../support/nats-cluster.ts";
import { findTool } from "../support/tools.ts";
import type { Fault, Run, Verdict } from "./fault.ts";
import type { KeptServerOptions } from "./kept-server.ts";
import { type KeptServer, startStandby } from "./kept-servers.ts";
import { summaryOf } from "./latency.ts";
import { countRuns, countsOf, type Outcome, outcomesOf, readLogs, replayAll } from "./task-audit.ts";
import { type SeenTask, startReaders } from "./task-readers.ts";

const leaderKills = 20;
/** The loss of a leader takes NATS 4 to 9 s: one that is killed sooner often meets a stream that has none. */
const paceMs = 9_000;
const replicaKills = 6;
const replicas = 3;
const readers = 12;
const pieceMs = 50;
const prefix = "faults";
const mostGapMs = 10_000;
/** For the last streams to end. */
const patienceMs = 30_000;
/** When no further kill is begun: the rest is for the last streams and for reading all again. */
const killingMs = 330_000;

export const killNats: Fault = {
  name: "kill-nats",
  title: `${replicas} replicas on three NATS servers: kill -9 of log streams' leaders ${leaderKills} times and of replicas ${replicaKills} times; no event that was seen is lost or doubled (takes five minutes)`,
  boundMs: 420_000,
  async run(run) {
    const { path: program } = findTool("nats-server", "NATS_SERVER");
    if (program === undefined)
      return { met: true, isSkipped: true, figures: "nats-server is missing; bash .ci/tools installs it" };
    const folder = await mkdtemp(join(tmpdir(), "convoke-kill-nats-"));
    const cluster = await startNats(program);
    process.once("exit", () => void cluster.stop()); // also when the run is ended from without
    try {
      return await killAll(run, { cluster, folder });
    } finally {
      await run.processes.stop();
      await cluster.stop();
      await rm(folder, { recursive: true });
    }
  },
};

interface Kill {
  readonly what: "leader" | "replica";
  readonly atMs: number;
}

async function killAll(
  { processes, say }: Run,
  { cluster, folder }: { cluster: NatsCluster; folder: string },
): Promise<Verdict> {
  const runs = join(folder, "runs");
  await writeFile(runs, "");
  const options: KeptServerOptions = { store: { servers: cluster.servers, prefix }, runs, pieceMs };
  const start = async (port?: number) => await (await startStandby(processes, options)).serve(port);
  const servers: KeptServer[] = [];
  for (let replica = 0; replica < replicas; replica++) servers.push(await start());
  const agents = connect({ urls: servers.map(({ url }) => url) });
  const load = startReaders({ agents, count: readers, pieces: () => 20 + Math.floor(Math.random() * 60) });
  const kills: Kill[] = [];
  let leaderlessMs = 0;
  const startMs = Date.now();
  const tell = (line: string) => say(`${elapsed(startMs)} s: ${line}; ${load.tasks.length} tasks were begun`);
  for (let round = 0; round < leaderKills + replicaKills && Date.now() - startMs < killingMs; round++) {
    const paced = pause(paceMs);
    if (round % 4 === 3) {
      const replica = Math.floor(Math.random() * replicas);
      const server = servers[replica];
      if (server === undefined) throw new Error("there are so many");
      kills.push({ what: "replica", atMs: Date.now() });
      await server.kill();
      servers[replica] = await start(server.port);
      tell("a replica was killed, and is there again");
    } else {
      const shard = (round - Math.floor(round / 4)) % logStreams;
      const askedMs = Date.now();
      const leader = await cluster.leaderOf(createLayout(prefix).logStream(shard));
      leaderlessMs += Date.now() - askedMs;
      kills.push({ what: "leader", atMs: Date.now() });
      await cluster.kill(leader);
      await cluster.start(leader);
      tell(`the leader of log stream ${shard} was killed, and is there again`);
    }
    await paced;
  }
  const count = (wanted: Kill["what"]) => kills.filter(({ what }) => what === wanted).length;
  await Promise.race([load.stop(), pause(patienceMs)]);
  for (const { id, agent, chunks } of load.open()) say(`task ${id} of "${agent}" hangs after ${chunks.length} events`);
  say(`${elapsed(startMs)} s: ${load.open().length} streams hang, all others are over`);
  const replays = await replayAll(agents, load.tasks);
  agents.close();
  const store = await createNatsStore({ servers: cluster.servers, prefix });
  const logs = await readLogs(store);
  await store.close();
  const outcomes = outcomesOf(load.tasks, { logs, replays, runs: countRuns(runs), say });
  const { p50, p95, max } = summaryOf(silencesOf(load.tasks, kills));
  const isWell = (outcome: Outcome) => outcome !== "wrong" && outcome !== "given up";
  return {
    met: outcomes.every(isWell) && load.open().length === 0 && p95 < mostGapMs && count("leader") === leaderKills,
    figures:
      `${count("leader")} leaders and ${count("replica")} replicas were killed in ${elapsed(startMs)} s, of which NATS took ${(leaderlessMs / 1_000).toFixed(0)} s ` +
      `to have the next leader to kill; ${outcomes.length} tasks: ${countsOf(outcomes)}; ` +
      `a stream that was open at a kill was silent for ${p50} ms (p50), ${p95} ms (p95), ${max} ms (max) after it`,
  };
}

function elapsed(startMs: number): string {
  return ((Date.now() - startMs) / 1_000).toFixed(0);
}

/** For each kill and each stream that was open then, the longest time in which nothing came, up to the next kill. */
function silencesOf(tasks: readonly SeenTask[], kills: readonly Kill[]): number[] {
  return kills.flatMap(({ atMs }, kill) => {
    const endMs = kills[kill + 1]?.atMs ?? Number.POSITIVE_INFINITY;
    return tasks.flatMap(({ times, begunMs }) => {
      if (begunMs > atMs || (times.at(-1) ?? 0) <= atMs) return [];
      let [fromMs, longestMs] = [atMs, 0];
      for (const time of times) {
        if (time <= atMs) continue;
        longestMs = Math.max(longestMs, time - fromMs);
        if (time > endMs) break;
        fromMs = time;
      }
      return [longestMs];
    });
  });
}

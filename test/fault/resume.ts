import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { createAuthority, issueCertificate, openCertificateFolder } from "../../src/identity/index.ts";
import { type Agents, Code, ConnectError, connect } from "../../src/index.ts";
import { createRandom, seed } from "../support/random.ts";
import type { Fault } from "./fault.ts";
import { startKeepingServer, withFolder } from "./keeping-servers.ts";
import { kindsOf } from "./load.ts";
import type { Processes } from "./processes.ts";
import { type Harm, type ProxyOptions, startProxy } from "./proxy.ts";

export interface ResumeOptions extends Pick<ProxyOptions, "harms" | "harmlessBytes"> {
  readonly seed: number;
  readonly streams: number;
  readonly tokens: number;
  /** Between two tokens. */
  readonly paceMs: number;
  /** Each with a connection, which its streams share. */
  readonly clients: number;
  /** For how long connections are harmed. */
  readonly harmForMs: number;
}

/** What came of it. */
export interface Resumed {
  /** Streams that had every token once, in order. */
  readonly whole: number;
  readonly failures: readonly ConnectError[];
  readonly harms: Readonly<Record<Harm, number>>;
  readonly resumes: number;
  /** Calls that their callers made again, because there was no connection to begin with. */
  readonly begunAgain: number;
  /** Runs of the agent, and tasks that were run. */
  readonly runs: number;
  readonly tasks: number;
  /** The longest time that a stream stood still. */
  readonly longestGapMs: number;
}

/** Often enough for connections to be harmed no more. */
const mostBeginnings = 100;
const beginAgainMs = 200;

/** Streams over TLS from two servers that share a store, through a proxy that harms connections. */
export function resumeStreams(processes: Processes, options: ResumeOptions): Promise<Resumed> {
  return withFolder(async (folder) => {
    const authority = await createAuthority({ trustDomain: "example.org" });
    const certificate = await issueCertificate(authority, { name: "server" });
    const tls = await openCertificateFolder(folder).writeCertificate("server", certificate);
    const shared = { path: join(folder, "store.db"), paceMs: options.paceMs, tls };
    const servers = await Promise.all(["one", "two"].map((name) => startKeepingServer(processes, { name, ...shared })));
    const targets = servers.map(({ port }) => port);
    const proxy = await startProxy({ ...options, targets, random: createRandom(options.seed) });
    const calm = setTimeout(() => proxy.calm(), options.harmForMs);
    const url = `https://localhost:${proxy.port}`;
    const read = await readAll(options, () => connectHastily(url, authority.certificate));
    clearTimeout(calm);
    const runs = (await Promise.all(servers.map((server) => server.runs()))).flat();
    proxy.close();
    return { ...read, harms: proxy.counts, runs: runs.length, tasks: new Set(runs).size };
  });
}

/** A client that soon notices a connection that stands still. */
function connectHastily(url: string, ca: string): Agents {
  return connect({ url, tls: { ca }, keepaliveMs: 10_000, keepaliveTimeoutMs: 2_000, connectTimeoutMs: 3_000 });
}

type Tally = { -readonly [name in "whole" | "resumes" | "begunAgain" | "longestGapMs"]: Resumed[name] };

async function readAll({ streams, tokens, clients }: ResumeOptions, connectAnew: () => Agents) {
  const agents = Array.from({ length: clients }, connectAnew);
  const tally: Tally = { whole: 0, resumes: 0, begunAgain: 0, longestGapMs: 0 };
  const reads = Array.from({ length: streams }, async (_, stream) => {
    const client = agents[stream % clients] as Agents; // there are so many
    const read = await readStream(client, { taskId: `task-${stream}`, content: String(tokens) }, tally);
    const [name] = read[0]?.split(" ") ?? [];
    if (read.length === tokens && read.every((token, index) => token === `${name} ${index};`)) tally.whole++;
  });
  const rejected = (await Promise.allSettled(reads)).filter((each) => each.status === "rejected");
  const failures = rejected.map(({ reason }) => ConnectError.from(reason));
  for (const each of agents) each.close();
  return { ...tally, failures };
}

/** The texts of a stream, whose caller begins again as long as there is no connection. */
async function readStream(agents: Agents, task: { taskId: string; content: string }, tally: Tally): Promise<string[]> {
  const texts: string[] = [];
  const onResume = () => void tally.resumes++;
  for (let beginning = 1; ; beginning++) {
    try {
      let lastMs = performance.now();
      for await (const { text } of agents.stream(task, { onResume })) {
        const nowMs = performance.now();
        tally.longestGapMs = Math.max(tally.longestGapMs, nowMs - lastMs);
        lastMs = nowMs;
        if (text !== "") texts.push(text);
      }
      return texts;
    } catch (thrown) {
      const isAway = ConnectError.from(thrown).code === Code.Unavailable;
      if (texts.length > 0 || !isAway || beginning === mostBeginnings) throw thrown;
      tally.begunAgain++;
      await pause(beginAgainMs);
    }
  }
}

const streams = 500;
const tokens = 200;

export const resume: Fault = {
  name: "resume",
  title: `${streams} streams of ${tokens} tokens over connections that are cut, stalled, replayed and corrupted: every token once, in order`,
  async run({ processes, say }) {
    say(`SEED=${seed}`);
    const resumed = await resumeStreams(processes, {
      seed,
      streams,
      tokens,
      paceMs: 80,
      clients: 50,
      harms: ["cut", "cut", "corruption", "corruption", "duplicate", "duplicate", "duplicate", "stall"],
      harmlessBytes: 30_000,
      harmForMs: 20_000,
    });
    const { whole, failures, harms, resumes, begunAgain, runs, tasks } = resumed;
    if (failures.length > 0) say(kindsOf(failures));
    const { cut, stall, duplicate, corruption } = harms;
    say(`${begunAgain} calls were made again by their callers, who had no connection to begin with`);
    return {
      met:
        whole === streams && runs === streams && tasks === streams && Math.min(cut, stall, duplicate, corruption, resumes) > 0,
      figures: `${whole} of ${streams} streams had every token once, in order; ${runs} runs of ${tasks} tasks; ${cut} cuts, ${stall} stalls, ${duplicate} duplicates, ${corruption} corruptions, ${resumes} resumes; the longest gap was ${(resumed.longestGapMs / 1_000).toFixed(1)} s`,
    };
  },
};

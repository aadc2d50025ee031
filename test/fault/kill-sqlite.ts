import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import Database from "better-sqlite3";
import { connect, createSqliteStore } from "../../src/index.ts";
import type { Fault, Run } from "./fault.ts";
import { type KeptServer, startStandby } from "./kept-servers.ts";
import { summaryOf } from "./latency.ts";
import { until } from "./load.ts";
import { countRuns, countsOf, type Outcome, outcomesOf, readLogs, replayAll } from "./task-audit.ts";
import { type SeenTask, startReaders } from "./task-readers.ts";

const kills = 100;
/** Servers that are killed in turn, each with a file and callers of its own: while one starts, another works. */
const lanes = 2;
const readersOfLane = 6;
const pieceMs = 15;
const mostResumeMs = 1_000;
/** For streams to go on after a restart. */
const patienceMs = 10_000;

export const killSqlite: Fault = {
  name: "kill-sqlite",
  title: `kill -9 of servers ${kills} times in mid-stream, each restarted on its port and SQLite file: what was seen is kept, streams go on within ${mostResumeMs} ms (a busy machine takes up to three minutes)`,
  boundMs: 180_000,
  async run(run) {
    const folder = await mkdtemp(join(tmpdir(), "convoke-kill-"));
    process.env["NODE_COMPILE_CACHE"] = join(folder, "cache"); // a hundred processes load the same sources
    try {
      const ends = await Promise.all(
        Array.from({ length: lanes }, (_, lane) =>
          killAgainAndAgain(run, { folder: join(folder, `${lane}`), kills: kills / lanes }),
        ),
      );
      const outcomes = ends.flatMap((end) => end.outcomes);
      const resumeMs = ends.flatMap((end) => end.resumeMs);
      const damages = ends.flatMap((end) => end.damages);
      for (const damage of damages) run.say(damage);
      const { p50, p95, max } = summaryOf(resumeMs);
      const isWell = (outcome: Outcome) => outcome !== "wrong" && outcome !== "given up";
      return {
        met: outcomes.every(isWell) && damages.length === 0 && max <= mostResumeMs && resumeMs.length > kills,
        figures:
          `${kills} kills, ${outcomes.length} tasks: ${countsOf(outcomes)}; ${resumeMs.length} streams that were cut off went on ${p50} ms (p50), ` +
          `${p95} ms (p95), ${max} ms (max) after the restart; the files were damaged ${damages.length} times`,
      };
    } finally {
      delete process.env["NODE_COMPILE_CACHE"];
      await rm(folder, { recursive: true, force: true });
    }
  },
};

/** What came of one lane. */
interface LaneEnd {
  readonly outcomes: readonly Outcome[];
  readonly resumeMs: readonly number[];
  readonly damages: readonly string[];
}

async function killAgainAndAgain(
  { processes, say }: Run,
  { folder, kills }: { folder: string; kills: number },
): Promise<LaneEnd> {
  await mkdir(folder);
  const [path, runs] = [join(folder, "store.db"), join(folder, "runs")];
  await writeFile(runs, "");
  const prepare = () => startStandby(processes, { store: { path }, runs, pieceMs });
  let next = prepare();
  let server = await (await next).serve();
  const agents = connect(server.url);
  let isThere = true;
  const pieces = () => 5 + Math.floor(Math.random() * 25);
  const load = startReaders({ agents, count: readersOfLane, pieces, mayBegin: () => isThere });
  const resumeMs: number[] = [];
  const damages: string[] = [];
  const check = (when: string) => {
    const integrity = integrityOf(path);
    if (integrity !== "ok") damages.push(`${when}: ${integrity}`);
  };
  next = prepare();
  for (let kill = 1; kill <= kills; kill++) {
    const standby = await next;
    await pause(50 + Math.random() * 150);
    isThere = false;
    await server.kill();
    const cut = load.open();
    server = await standby.serve(server.port);
    isThere = true;
    next = prepare();
    resumeMs.push(...(await resumed(cut, server)));
    check(`after kill ${kill}`);
    if (kill % 10 === 0) say(`a server was killed ${kill} times; ${load.tasks.length} tasks were begun`);
  }
  await load.stop();
  const replays = await replayAll(agents, load.tasks);
  agents.close();
  await server.kill();
  check("in the end");
  const store = await createSqliteStore({ path });
  const logs = await readLogs(store);
  await store.close();
  return { outcomes: outcomesOf(load.tasks, { logs, replays, runs: countRuns(runs), say }), resumeMs, damages };
}

/** For each stream that was cut off, the milliseconds from the new server's first to what its caller saw next. */
async function resumed(cut: readonly SeenTask[], { sinceMs }: KeptServer): Promise<number[]> {
  const next = ({ times }: SeenTask) => times.find((time) => time >= sinceMs);
  await until(() => cut.every((task) => task.isOver || next(task) !== undefined), patienceMs);
  return cut.flatMap((task) => {
    const time = next(task);
    if (time !== undefined) return [time - sinceMs];
    return task.isOver ? [] : [Number.POSITIVE_INFINITY]; // what was on its way when the server died may have been all
  });
}

function integrityOf(path: string): string {
  const file = new Database(path, { readonly: true });
  try {
    return String(file.pragma("integrity_check", { simple: true }));
  } finally {
    file.close();
  }
}

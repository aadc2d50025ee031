import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { type Agents, Code, ConnectError, connect } from "../../src/index.ts";
import type { Fault, Run, Verdict } from "./fault.ts";
import type { KeptServerOptions } from "./kept-server.ts";
import { startStandby } from "./kept-servers.ts";
import { replay, stepsOf } from "./task-audit.ts";
import { readTask, type SeenTask } from "./task-readers.ts";

const tasks = 200;
const pieces = 20;
/** The event whose text gets another bit. */
const hitEvent = 7;
/** Bits that are flipped in the end, wherever they meet the pages of entries. */
const strayFlips = 20;
const pageBytes = 4_096;

export const bitFlip: Fault = {
  name: "bit-flip",
  title: `bits of an SQLite file with ${tasks} tasks are flipped, while its server is away and while it runs: DATA_LOSS of what is hit, and all else is answered`,
  async run(run) {
    const folder = await mkdtemp(join(tmpdir(), "convoke-flip-"));
    try {
      return await flipAndAsk(run, folder);
    } finally {
      await run.processes.stop();
      await rm(folder, { recursive: true });
    }
  },
};

async function flipAndAsk({ processes, say }: Run, folder: string): Promise<Verdict> {
  const [path, runs] = [join(folder, "store.db"), join(folder, "runs")];
  await writeFile(runs, "");
  const options: KeptServerOptions = { store: { path }, runs, pieceMs: 0, pieceChars: 300 };
  const start = async () => {
    const server = await (await startStandby(processes, options)).serve();
    return { server, agents: connect(server.url) };
  };
  const first = await start();
  const written: SeenTask[] = [];
  for (let count = 0; count < tasks; count++) await readTask(first.agents, { agent: "once", pieces }, { tasks: written });
  first.agents.close();
  await first.server.kill();
  vacuum(path);
  const [away, running] = [written[50], written[150]];
  if (away === undefined || running === undefined) throw new Error("there are so many");
  const problems: string[] = [];

  flipIn(path, away);
  const second = await start();
  problems.push(...(await namingOf(second.agents, away)));
  flipIn(path, running);
  problems.push(...(await namingOf(second.agents, running)));
  const hit = await answersOf(second.agents, written);
  problems.push(...hit.wrong);
  say(`two entries were hit: ${hit.lost.length} tasks are DATA_LOSS, ${hit.whole} are whole`);
  if (hit.lost.toSorted().join() !== [away.id, running.id].toSorted().join())
    problems.push("others than the two that were hit are lost");
  second.agents.close();
  await second.server.kill();

  const pages = leavesOf(path);
  for (let flip = 0; flip < strayFlips; flip++) {
    const page = pages[Math.floor(Math.random() * pages.length)] ?? 0;
    flipBit(path, page + Math.floor(Math.random() * pageBytes));
  }
  const third = await start();
  const stray = await answersOf(third.agents, written);
  problems.push(...stray.wrong);
  const fresh = await readTask(third.agents, { agent: "once", pieces }, { tasks: [] });
  if (fresh.error !== undefined) problems.push(`a new task failed: ${fresh.error.message}`);
  say(
    `${strayFlips} bits were flipped anywhere: ${stray.lost.length} tasks are DATA_LOSS, ${stray.whole} are whole; the server goes on`,
  );
  third.agents.close();
  for (const problem of problems) say(problem.slice(0, 400));
  return {
    met: problems.length === 0,
    figures: `of ${tasks} tasks ${hit.lost.length} were DATA_LOSS after two hits and ${stray.lost.length} after ${strayFlips} more; ${problems.length} answers were not as they should be`,
  };
}

/** What is wrong with how a task is refused that was hit: it has to say which entry. */
async function namingOf(agents: Agents, { id }: SeenTask): Promise<string[]> {
  const ask = [agents.get(id), agents.stream({ taskId: id })[Symbol.asyncIterator]().next()];
  const answers = await Promise.allSettled<unknown>(ask);
  return answers.flatMap((answer) => {
    const error = answer.status === "rejected" ? ConnectError.from(answer.reason) : undefined;
    const names = error?.rawMessage.startsWith(`entry ${hitEvent + 1} of log "`) && error.rawMessage.includes(id);
    return error?.code === Code.DataLoss && names ? [] : [`task ${id} was hit, and the answer was ${error ?? "whole"}`];
  });
}

interface Answers {
  readonly whole: number;
  /** Ids of tasks that are DATA_LOSS. */
  readonly lost: readonly string[];
  readonly wrong: readonly string[];
}

async function answersOf(agents: Agents, written: readonly SeenTask[]): Promise<Answers> {
  const lost: string[] = [];
  const wrong: string[] = [];
  for (const { id, chunks } of written) {
    const told = await replay(agents, id);
    if (told.join() === stepsOf(chunks).join()) continue;
    if (told.length === 1 && told[0]?.startsWith(`failed ${Code[Code.DataLoss]}`)) lost.push(id);
    else wrong.push(`task ${id}: ${told}`);
  }
  return { whole: written.length - lost.length - wrong.length, lost, wrong };
}

/** Leaves each entry in the file once, and nothing in the WAL. */
function vacuum(path: string): void {
  const file = new Database(path);
  file.exec("VACUUM");
  file.pragma("wal_checkpoint(TRUNCATE)");
  file.close();
}

/** Flips a bit of the text of one event. */
function flipIn(path: string, { chunks }: SeenTask): void {
  const at = readFileSync(path).indexOf(chunks[hitEvent]?.text ?? "");
  if (at < 0) throw new Error("the text is not in the file");
  flipBit(path, at + 100);
}

function flipBit(path: string, at: number): void {
  const byte = (readFileSync(path)[at] ?? 0) ^ (1 << Math.floor(Math.random() * 8));
  const file = openSync(path, "r+");
  writeSync(file, Uint8Array.of(byte), 0, 1, at);
  closeSync(file);
}

/** Where the pages begin that hold nothing but entries. */
function leavesOf(path: string): number[] {
  const file = new Database(path, { readonly: true });
  const numbers = file.prepare("SELECT pageno FROM dbstat WHERE name = 'entries' AND pagetype = 'leaf'").pluck().all();
  file.close();
  return numbers.map((number) => (Number(number) - 1) * pageBytes);
}

import { execFileSync } from "node:child_process";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type Agents, Code, ConnectError, connect, createSqliteStore, Status } from "../../src/index.ts";
import type { Fault, Run, Verdict } from "./fault.ts";
import { startStandby } from "./kept-servers.ts";
import { until } from "./load.ts";
import { readLogs, replay, type Steps, stepsOf } from "./task-audit.ts";
import { readTask, type SeenTask, startReaders } from "./task-readers.ts";

const diskMib = 16;
const readers = 8;
/** Longer than a server's lease lasts, which cannot be renewed meanwhile. */
const fullMs = 9_000;
/** For the ends of tasks that failed to be kept, once there is room. */
const patienceMs = 20_000;

export const diskFull: Fault = {
  name: "disk-full",
  title: `the disk of an SQLite store is full for ${fullMs / 1_000} s: tasks fail with RESOURCE_EXHAUSTED, what has ended is read, and all is well when there is room`,
  async run(run) {
    const folder = await mkdtemp(join(tmpdir(), "convoke-full-"));
    const disk = join(folder, "disk");
    await mkdir(disk);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${diskMib}m`, "tmpfs", disk], { stdio: "pipe" });
    } catch (thrown) {
      await rm(folder, { recursive: true });
      return { met: true, isSkipped: true, figures: `a small file system could not be mounted: ${String(thrown).trim()}` };
    }
    try {
      return await fillAndEmpty(run, { folder, disk });
    } finally {
      await run.processes.stop(); // what has a file open keeps it mounted
      execFileSync("umount", [disk]);
      await rm(folder, { recursive: true });
    }
  },
};

async function fillAndEmpty({ processes, say }: Run, { folder, disk }: { folder: string; disk: string }): Promise<Verdict> {
  const [path, runs, filler] = [join(disk, "store.db"), join(folder, "runs"), join(disk, "filler")];
  await writeFile(runs, "");
  const options = { store: { path }, runs, pieceMs: 10, pieceChars: 1_000 };
  const server = await (await startStandby(processes, options)).serve();
  const agents = connect(server.url);
  const load = startReaders({ agents, count: readers, pieces: () => 50 });
  await pause(2_000);
  const before = load.tasks.filter(({ isOver }) => isOver);
  const cut = load.open();
  fill(filler);
  say(`the disk is full; ${before.length} tasks have ended, ${cut.length} are at work`);
  await until(() => cut.every(({ isOver }) => isOver), patienceMs);
  const misread: string[] = [];
  for (const endMs = performance.now() + fullMs; performance.now() < endMs; ) {
    for (const task of [...before.slice(-10), ...cut]) misread.push(...(await misreadingsOf(agents, task)));
    await pause(100);
  }
  const failed = load.tasks.filter(({ error }) => error !== undefined);
  say(`${failed.length} tasks have failed; all that has ended was read again and again`);
  rmSync(filler);
  const roomMs = performance.now();
  const count = load.tasks.length;
  const next = await until(
    () => load.tasks.slice(count).some(({ isOver, error }) => isOver && error === undefined),
    patienceMs,
  );
  await load.stop();
  const after: SeenTask[] = [];
  for (const agent of ["once", "again"] as const) await readTask(agents, { agent, pieces: 5 }, { tasks: after });
  say(`there is room again; the first task ended well after ${Math.round(next)} ms`);
  const begun = failed.filter(({ chunks }) => chunks.length > 0);
  const missing = await keptEnds(path, begun, roomMs);
  for (const task of [...before, ...cut]) misread.push(...(await misreadingsOf(agents, task)));
  agents.close();
  const strange = failed.filter(({ error }) => error?.code !== Code.ResourceExhausted);
  for (const line of new Set([...strange.map(({ error }) => String(error)), ...misread])) say(line.slice(0, 400));
  const well = after.every(({ error }) => error === undefined);
  return {
    met: strange.length === 0 && misread.length === 0 && well && begun.length > 0 && missing.length === 0 && next < patienceMs,
    figures:
      `${failed.length} tasks failed, ${strange.length} of them otherwise than with RESOURCE_EXHAUSTED; ${misread.length} readings were wrong; ` +
      `${begun.length} that had begun failed, and ${missing.length} of them have no end in the store ${((performance.now() - roomMs) / 1_000).toFixed(0)} s after there was room`,
  };
}

/** Writes until nothing more fits. */
function fill(path: string): void {
  const file = openSync(path, "w");
  try {
    for (let bytes = 64 * 1024; bytes >= 1; ) {
      try {
        writeSync(file, new Uint8Array(bytes));
      } catch {
        bytes = Math.floor(bytes / 2);
      }
    }
  } finally {
    closeSync(file);
  }
}

/** What is told of a task otherwise than its caller saw it. */
async function misreadingsOf(agents: Agents, seen: SeenTask): Promise<string[]> {
  const steps: Steps = stepsOf(seen.chunks, seen.error);
  try {
    const { status } = await agents.get(seen.id);
    const told = await replay(agents, seen.id);
    const expected = seen.error === undefined ? Status.COMPLETED : Status.ERROR;
    return status === expected && told.join() === steps.join()
      ? []
      : [`task ${seen.id}: ${Status[status]}, ${told} instead of ${steps}`];
  } catch (thrown) {
    return [`task ${seen.id}: ${ConnectError.from(thrown).message}`];
  }
}

/** Waits until the store has the end of each task as its caller saw it, and gives those of which it has none. */
async function keptEnds(path: string, tasks: readonly SeenTask[], sinceMs: number): Promise<SeenTask[]> {
  const store = await createSqliteStore({ path });
  try {
    for (;;) {
      const logs = await readLogs(store);
      const missing = tasks.filter(({ id, chunks, error }) => logs.get(id)?.join() !== stepsOf(chunks, error).join());
      if (missing.length === 0 || performance.now() - sinceMs > patienceMs) return missing;
      await pause(200);
    }
  } finally {
    await store.close();
  }
}

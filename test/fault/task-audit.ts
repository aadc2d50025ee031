import { readFileSync } from "node:fs";
import { fromBinary } from "@bufbuild/protobuf";
import { type TaskLogEntry, TaskLogEntrySchema, type TokenChunk } from "../../src/contract/index.ts";
import { taskBounds } from "../../src/core/index.ts";
import { type Agents, Code, ConnectError, Status, type Store } from "../../src/index.ts";
import type { SeenTask } from "./task-readers.ts";

/** A task's events in words, so that what a caller saw and what a log holds can be compared. */
export type Steps = readonly string[];

/** The logs of all tasks in a store, by the tasks' ids. */
export async function readLogs(store: Store): Promise<Map<string, Steps>> {
  const logs = new Map<string, Steps>();
  for (let after = ""; ; ) {
    const page = await store.logs("task/", { after });
    for (const { name } of page) {
      const steps: string[] = [];
      for await (const bytes of store.read(name, 1)) steps.push(entryInWords(fromBinary(TaskLogEntrySchema, bytes)));
      logs.set(name.slice(name.lastIndexOf("/") + 1), steps);
    }
    const last = page.at(-1);
    if (last === undefined) return logs;
    after = last.name;
  }
}

/** What a server tells of tasks when it is asked for all of each again, and of what they came to. */
export async function replayAll(agents: Agents, tasks: readonly SeenTask[]): Promise<Map<string, Steps>> {
  const replays = new Map<string, Steps>();
  const rest = tasks.values();
  const replayRest = async () => {
    for (const { id } of rest) replays.set(id, await replay(agents, id));
  };
  await Promise.all(Array.from({ length: replaysAtOnce }, replayRest));
  return replays;
}

export async function replay(agents: Agents, taskId: string): Promise<Steps> {
  const chunks: TokenChunk[] = [];
  try {
    for await (const chunk of agents.stream({ taskId }, { timeoutMs: replayMs })) chunks.push(chunk);
    return stepsOf(chunks);
  } catch (thrown) {
    return stepsOf(chunks, ConnectError.from(thrown));
  }
}

/** How often each task's agent was run, as kept-server.ts has noted it. */
export function countRuns(file: string): Map<string, number> {
  const runs = new Map<string, number>();
  for (const id of readFileSync(file, "utf8").split("\n")) runs.set(id, (runs.get(id) ?? 0) + 1);
  return runs;
}

/** How a task came out: `wrong` when not as it was promised. */
export type Outcome = "whole" | "server lost" | "restarted" | "restarted too often" | "refused" | "given up" | "wrong";

/** How outcomes are told. */
export function countsOf(outcomes: readonly Outcome[]): string {
  const counts = new Map<Outcome, number>();
  for (const outcome of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  return [...counts].map(([outcome, count]) => `${count} ${outcome}`).join(", ");
}

/** What there is of tasks beside what their callers saw. */
interface Evidence {
  readonly logs: ReadonlyMap<string, Steps>;
  readonly replays: ReadonlyMap<string, Steps>;
  readonly runs: ReadonlyMap<string, number>;
  /** Told what is wrong. */
  readonly say: (line: string) => void;
}

/** What became of tasks: as their callers saw them, as a server tells them again, and as they stand in the store. */
export function outcomesOf(tasks: readonly SeenTask[], { logs, replays, runs, say }: Evidence): Outcome[] {
  return tasks.map((task) => {
    const log = logs.get(task.id);
    try {
      const outcome = outcomeOf(task, log, runs.get(task.id) ?? 0);
      if (log === undefined || replays.get(task.id)?.join() === log.join()) return outcome;
      throw new Error(`task ${task.id} is told otherwise than it was kept`);
    } catch (thrown) {
      say(String(thrown));
      return "wrong";
    }
  });
}

/** Events of a task that are told when it is wrong. */
const mostTold = 12;
const replaysAtOnce = 20;
/** A task that hangs is told as it is. */
const replayMs = 10_000;

/** @throws Error that says what is not as it was promised. */
function outcomeOf(seen: SeenTask, log: Steps | undefined, runs: number): Outcome {
  const fail = (what: string) => {
    const steps = stepsOf(seen.chunks, seen.error);
    const at = Math.max(0, steps.findIndex((step, index) => step !== log?.[index]) - 2);
    const [saw, kept] = [steps, log ?? []].map((each) => each.slice(at, at + mostTold).join(" | "));
    throw new Error(`task ${seen.id} of "${seen.agent}" ${what}; from event ${at} on\n  seen: ${saw}\n  kept: ${kept}`);
  };
  seen.chunks.forEach(({ index }, at) => {
    if (index !== at) fail(`gave chunk ${index} where ${at} was next`);
  });
  const isEnded = seen.error === undefined || seen.error.metadata.has("convoke-task-ended");
  if (!isEnded) {
    const steps = stepsOf(seen.chunks);
    if (steps.some((step, at) => step !== log?.[at])) fail("lost events that its caller has seen");
    return log === undefined ? "refused" : "given up";
  }
  if (log === undefined) return fail("is not in the store");
  if (stepsOf(seen.chunks, seen.error).join() !== log.join()) fail("was seen otherwise than it was kept");
  const restarts = log.filter((step) => step.startsWith("restart")).length;
  const began = new Set(log.flatMap((step) => /^text (\w+):/.exec(step)?.[1] ?? [])).size; // one that is killed early has said nothing
  if (runs < began || runs > restarts + 1) fail(`was run ${runs} times with ${restarts} restarts`);
  checkPieces(seen, log, fail);
  if (log.at(-1) === "finish COMPLETED") return restarts === 0 ? "whole" : "restarted";
  if (!log.at(-1)?.startsWith(`failed ${Code[Code.Unavailable]}: the server that ran task`))
    fail("failed otherwise than declared");
  if (seen.agent === "once") return restarts === 0 ? "server lost" : fail("was restarted, which its agent does not allow");
  return restarts === taskBounds.maxRestarts ? "restarted too often" : fail("was not restarted, which its agent allows");
}

/** Each run says its pieces from 0 on, without gaps; the one that ended well, all of them. */
function checkPieces({ pieces }: SeenTask, log: Steps, fail: (what: string) => never): void {
  let [run, next] = ["", 0];
  log.slice(0, -1).forEach((step, at) => {
    const [, name = "", piece = ""] = /^text (\w+):(\d+) /.exec(step) ?? [];
    if (step === "restart 0") [run, next] = ["", 0];
    else if (Number(piece) !== next || name === "" || (run !== "" && name !== run)) fail(`has "${step}" as event ${at}`);
    else [run, next] = [name, next + 1];
  });
  if (log.at(-1) === "finish COMPLETED" && next !== pieces) fail(`ended well after ${next} of ${pieces} pieces`);
}

export function stepsOf(chunks: readonly TokenChunk[], error?: ConnectError): Steps {
  const steps = chunks.map(({ text, restartedFrom, status, isFinal }) => {
    if (restartedFrom !== undefined) return `restart ${restartedFrom}`;
    return isFinal ? `finish ${Status[status]}` : `text ${text}`;
  });
  return error === undefined ? steps : [...steps, `failed ${Code[error.code]}: ${error.rawMessage}`];
}

function entryInWords({ step }: TaskLogEntry): string {
  switch (step.case) {
    case "text":
      return `text ${step.value}`;
    case "restart":
      return `restart ${step.value.from}`;
    case "finish": {
      const { status, error } = step.value;
      return error === undefined ? `finish ${Status[status]}` : `failed ${Code[error.code]}: ${error.message}`;
    }
    default:
      return `${step.case}`;
  }
}

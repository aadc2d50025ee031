import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { type TaskLogEntry, TaskLogEntrySchema } from "../../src/contract/index.ts";
import { type Agents, Code, ConnectError, connect, createSqliteStore } from "../../src/index.ts";
import type { Fault } from "./fault.ts";
import type { Late } from "./keeping-server.ts";
import { startKeepingServer, withFolder } from "./keeping-servers.ts";
import { until } from "./load.ts";
import type { Processes } from "./processes.ts";

/** What came of a task whose server slept over its lease. */
export interface TakenOver {
  /** From SIGSTOP to what its reader at the other server saw of the take-over. */
  readonly afterMs: number;
  /** What readers saw: at the server that slept, at the one that took over, and from the beginning at both when all was over. */
  readonly seen: readonly (readonly string[])[];
  /** The log's entries from the take-over on. */
  readonly entries: readonly string[];
}

export interface StaleLease {
  readonly restarted: TakenOver;
  readonly lost: TakenOver;
  readonly late: Late;
}

const pieces = 60;
const paceMs = 50;
/** Pieces that are seen at both servers before the first one is stopped. */
const piecesBefore = 10;
const patienceMs = 20_000;

/** A server sleeps over its lease with an append of each of its tasks on the way to the store, and wakes when another has taken them over. */
export function sleepOverLease(processes: Processes): Promise<StaleLease> {
  return withFolder(async (folder) => {
    const path = join(folder, "store.db");
    const sleeper = await startKeepingServer(processes, { name: "sleeper", path, paceMs });
    const successor = await startKeepingServer(processes, { name: "successor", path, paceMs });
    const clients = [connect(sleeper.url), connect(successor.url)] as const;
    const tasks = ["restartable", "plain"].map((agent) => follow(agent, clients));
    await until(() => tasks.every(({ readers }) => readers.every(({ seen }) => seen.length >= piecesBefore)), patienceMs);
    await sleeper.hold(tasks.length);
    sleeper.sleep();
    const stoppedMs = performance.now();
    await until(() => tasks.every(({ readers: [, other] }) => other.takenOverMs !== undefined), patienceMs);
    sleeper.wake();
    const late = await sleeper.release();
    const [restarted, lost] = await Promise.all(tasks.map((task) => outcomeOf(task, { clients, path, stoppedMs })));
    for (const agents of clients) agents.close();
    if (restarted === undefined || lost === undefined) throw new Error("two were followed");
    return { restarted, lost, late };
  });
}

interface Followed {
  readonly taskId: string;
  readonly readers: readonly [Reader, Reader];
}

/** Begins a task at the first server, and reads it at both. */
function follow(agent: string, [first, other]: readonly [Agents, Agents]): Followed {
  const task = { taskId: `task-${agent}`, content: String(pieces), agentId: agent };
  const reader = new Reader();
  const another = new Reader();
  void reader.read(first, task);
  void until(() => reader.seen.length > 0, patienceMs).then(() => another.read(other, { taskId: task.taskId })); // it is there by then
  return { taskId: task.taskId, readers: [reader, another] };
}

/** Reads a task to its end, and notes what it sees. */
class Reader {
  readonly seen: string[] = [];
  takenOverMs: number | undefined;
  isOver = false;

  async read(agents: Agents, task: { taskId: string; content?: string; agentId?: string }): Promise<void> {
    try {
      for await (const { index, text, restartedFrom, isFinal } of agents.stream(task)) {
        if (restartedFrom !== undefined) this.#takenOver();
        this.seen.push(
          `${index} ${restartedFrom === undefined ? text : `restarted from ${restartedFrom}`}${isFinal ? "end" : ""}`,
        );
      }
    } catch (thrown) {
      this.#takenOver();
      const { code, rawMessage } = ConnectError.from(thrown);
      this.seen.push(`${Code[code]}: ${rawMessage}`);
    }
    this.isOver = true;
  }

  #takenOver(): void {
    this.takenOverMs ??= performance.now();
  }
}

interface Place {
  readonly clients: readonly [Agents, Agents];
  readonly path: string;
  readonly stoppedMs: number;
}

async function outcomeOf({ taskId, readers }: Followed, { clients, path, stoppedMs }: Place): Promise<TakenOver> {
  await until(() => readers.every(({ isOver }) => isOver), patienceMs);
  const again = await Promise.all(
    clients.map(async (agents) => {
      const reader = new Reader();
      await reader.read(agents, { taskId });
      return reader;
    }),
  );
  return {
    afterMs: (readers[1].takenOverMs ?? Number.POSITIVE_INFINITY) - stoppedMs,
    seen: [...readers, ...again].map(({ seen }) => seen),
    entries: await entriesAfterTakeOver(path, taskId),
  };
}

/** What the log itself holds. */
async function entriesAfterTakeOver(path: string, taskId: string): Promise<string[]> {
  const store = await createSqliteStore({ path });
  const entries: string[] = [];
  let [runner, isTakenOver] = ["", false];
  for (const { name } of (await store.logs("task/")).filter((log) => log.name.endsWith(`/${taskId}`))) {
    for await (const bytes of store.read(name, 0)) {
      const entry = fromBinary(TaskLogEntrySchema, bytes);
      isTakenOver ||= runner !== "" && entry.runner !== "" && entry.runner !== runner;
      runner ||= entry.runner;
      if (isTakenOver) entries.push(textOf(entry));
    }
  }
  await store.close();
  return entries;
}

function textOf({ step }: TaskLogEntry): string {
  return step.case === "text" ? step.value : String(step.case);
}

/** A lease of 6 s that is renewed each 2 s has 4 to 6 left, or less by the second that a busy machine is late; its end is seen within another. */
const [soonestMs, latestMs] = [3_000, 7_000];

export const staleLease: Fault = {
  name: "stale-lease",
  title:
    "a server sleeps (SIGSTOP) over its lease with appends under way; another takes its tasks over, and nothing of it counts when it wakes",
  async run({ processes, say }) {
    const { restarted, lost, late } = await sleepOverLease(processes);
    for (const [name, { afterMs, seen, entries }] of Object.entries({ restarted, lost })) {
      say(
        `${name}: taken over after ${Math.round(afterMs)} ms; readers saw ${seen.map(({ length }) => length).join(", ")} events, the log holds ${entries.length} entries from then on`,
      );
    }
    const problems = [...problemsOf(restarted), ...problemsOf(lost)];
    for (const problem of problems) say(problem);
    return {
      met: problems.length === 0 && late.refused === 2 && late.taken === 0,
      figures: `taken over ${Math.round(restarted.afterMs)} and ${Math.round(lost.afterMs)} ms after SIGSTOP; ${late.refused} late appends refused, ${late.taken} taken; ${problems.length === 0 ? "all readers saw the same" : "READERS DIFFER"}`,
    };
  },
};

/** What callers must not see. */
function problemsOf({ afterMs, seen, entries }: TakenOver): string[] {
  const [first = []] = seen;
  const stale = entries.filter((entry) => entry.startsWith("sleeper"));
  return [
    ...(afterMs >= soonestMs && afterMs <= latestMs ? [] : [`it was taken over after ${afterMs} ms`]),
    ...seen
      .filter((each) => each.join("\n") !== first.join("\n"))
      .map((each) => `saw ${each.join(" ")} and not ${first.join(" ")}`),
    ...stale.map((entry) => `the log holds "${entry}" after the take-over`),
  ];
}

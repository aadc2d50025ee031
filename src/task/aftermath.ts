import { Code, ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { Turn } from "../agent/index.ts";
import { Status } from "../contract/index.ts";
import { createBackoff, pause, taskBounds } from "../core/index.ts";
import type { EntryAuthor, Threads } from "../memory/index.ts";
import { firstKept, type LogInfo, type Store } from "../store/index.ts";
import type { Addition } from "./additions.ts";
import { foldEvents } from "./answer.ts";
import { taskLogName } from "./entries.ts";
import type { KeptConversations } from "./kept-conversations.ts";
import type { TaskRecord } from "./record.ts";
import { lastHandoff } from "./requests.ts";
import type { Runner } from "./runner.ts";

export interface AftermathOptions {
  readonly store: Store;
  readonly runner: Runner;
  readonly conversations: KeptConversations;
  readonly threads: Threads | undefined;
  readonly log: Logger;
  /** A task that has ended, by its log, from the store; undefined when it is not there, or has not ended. */
  readonly load: (log: string) => Promise<{ record: TaskRecord; author: EntryAuthor } | undefined>;
}

const prefix = "aftermath/";

/** With these the same may work later. */
const passing = new Set([
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.ResourceExhausted,
  Code.Aborted,
  Code.Canceled,
  Code.Unknown,
  Code.Internal,
]);

/**
 * What a finished task leaves beyond its log: its turn in a conversation, and what it adds to shared memory.
 *
 * The task's name is in this server's own log before its `finish` is kept, and leaves it when all is done. When the server dies in between, whoever
 * shares the store does it; ids keep what is done twice from being there twice.
 */
export class Aftermath {
  readonly #options: AftermathOptions;
  /** Where in this server's log a task stands that is not done, by the task. */
  readonly #owed = new Map<TaskRecord, { readonly log: string; readonly number: number }>();
  /** This server's log, another one for each lease, and how long it is known to be. */
  #log = "";
  #length = 0;
  #redoing = false;

  constructor(options: AftermathOptions) {
    this.#options = options;
  }

  /** True for a task that has something to leave. */
  hasAny(record: TaskRecord): boolean {
    return isCompleted(record) && (record.conversationId !== "" || (record.additions?.length ?? 0) > 0);
  }

  /** Notes that a task is about to finish. @throws ConnectError what the store throws. */
  async owe(record: TaskRecord): Promise<void> {
    if (this.#owed.has(record)) return;
    const { store, runner } = this.#options;
    const log = prefix + runner.id;
    if (log !== this.#log) [this.#log, this.#length] = [log, 0];
    this.#owed.set(record, { log, number: this.#length }); // it will not stand before that
    try {
      const length = await store.append(log, [Buffer.from(logOf(record))]);
      this.#owed.set(record, { log, number: length - 1 });
      if (log === this.#log) this.#length = Math.max(length, this.#length);
    } catch (thrown) {
      this.#owed.delete(record);
      throw thrown;
    }
  }

  /** Does what a finished task has left. What fails is tried again, later; waits for it only for a while. Never throws. */
  async settle(record: TaskRecord, author: EntryAuthor): Promise<void> {
    const done = this.#persist(record, () => this.#apply(record, author));
    await Promise.race([done, pause(taskBounds.aftermathPatienceMs)]);
  }

  /** As far as this server knows, a task's end has not been kept: what the store has of it says whether it has left anything. */
  recheck(record: TaskRecord): void {
    if (this.#owed.has(record)) void this.#persist(record, () => this.#applyKept(logOf(record)));
  }

  /** Does what servers that have died have left. Never throws. */
  async redo(): Promise<void> {
    if (this.#redoing) return;
    this.#redoing = true;
    const { store, log } = this.#options;
    try {
      let after = "";
      for (;;) {
        const infos = await store.logs(prefix, after === "" ? {} : { after });
        for (const info of infos) await this.#tryRedoFor(info);
        after = infos.at(-1)?.name ?? "";
        if (after === "") break;
      }
    } catch (err) {
      log.warn({ err: ConnectError.from(err) }, "what finished tasks have left could not be looked for");
    }
    this.#redoing = false;
  }

  async #persist(record: TaskRecord, work: () => Promise<void>): Promise<void> {
    const backoff = createBackoff({ initialMs: 100, maxMs: 30_000 });
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#tryFor(record.id, work);
        return await this.#done(record);
      } catch {
        if (attempt === taskBounds.maxAftermathAttempts) return; // whoever finds this server dead does it
        await pause(backoff.nextMs());
      }
    }
  }

  /** What cannot work later either is said, and given up. @throws ConnectError what may pass. */
  async #tryFor(task: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      const err = ConnectError.from(thrown);
      const isPassing = passing.has(err.code);
      const message = "what a finished task leaves could not be kept";
      this.#options.log[isPassing ? "warn" : "error"]({ err, task, isPassing }, message);
      if (isPassing) throw err;
    }
  }

  async #apply(record: TaskRecord, author: EntryAuthor): Promise<void> {
    if (!isCompleted(record)) return;
    const { conversations, threads } = this.#options;
    if (record.conversationId !== "") await conversations.append(record.caller, record.conversationId, turnOf(record));
    for (const [thread, entries] of byThread(record.additions ?? [])) await threads?.append(thread, entries, { author });
  }

  /** Does it for a task by what the store has of it. @throws ConnectError what the store throws. */
  async #applyKept(log: string): Promise<void> {
    const ended = await this.#options.load(log);
    if (ended !== undefined) await this.#apply(ended.record, ended.author);
  }

  /** Takes the names of tasks out up to the first one that is not done. */
  async #done(record: TaskRecord): Promise<void> {
    const place = this.#owed.get(record);
    if (place === undefined) return;
    this.#owed.delete(record);
    if (place.log !== this.#log) return; // its lease is over: whoever sees that goes through all of it
    let end = this.#length;
    for (const { log, number } of this.#owed.values()) if (log === place.log) end = Math.min(end, number);
    try {
      await this.#options.store.trim(place.log, end);
    } catch (thrown) {
      this.#owed.set(record, place);
      throw thrown;
    }
  }

  /** Never throws: what is wrong with one server's log is not with others'. */
  async #tryRedoFor(info: LogInfo): Promise<void> {
    try {
      await this.#redoFor(info);
    } catch (thrown) {
      const err = ConnectError.from(thrown);
      this.#options.log.warn({ err, log: info.name }, "what tasks of a server that died have left could not be done");
    }
  }

  /** @throws ConnectError what the store throws. */
  async #redoFor({ name, length }: LogInfo): Promise<void> {
    const { store, runner, log } = this.#options;
    const id = name.slice(prefix.length);
    if (id === runner.id) return;
    const tasks = await this.#tasksIn(name);
    if (tasks.length === 0) return;
    const claim = await runner.takeOver(id);
    if (claim === undefined) return; // it lives, and does it itself
    try {
      let left = length;
      for (const { task, number } of tasks) {
        const keep = () => {
          left = Math.min(left, number);
        };
        await this.#tryFor(task, () => this.#applyKept(task)).catch(keep);
      }
      await store.trim(name, left);
      log.info({ tasks: tasks.length, isAll: left === length }, "done what tasks of a server that died had left");
    } finally {
      await claim.release().catch(() => {}); // it ends in its time
    }
  }

  async #tasksIn(log: string): Promise<{ task: string; number: number }[]> {
    const tasks: { task: string; number: number }[] = [];
    const read = async (from: number) => {
      let number = from;
      for await (const bytes of this.#options.store.read(log, from))
        tasks.push({ task: Buffer.from(bytes).toString(), number: number++ });
    };
    try {
      await read(0);
    } catch (thrown) {
      const first = firstKept(thrown);
      if (first === undefined) throw thrown;
      await read(first);
    }
    return tasks;
  }
}

const logOf = ({ caller, id }: TaskRecord) => taskLogName(caller, id);

/** True when it has ended well, whether or not that is seen yet. */
function isCompleted({ log }: TaskRecord): boolean {
  const last = log.ended ? log.events.at(-1) : undefined;
  return typeof last === "object" && last.case === "finish" && last.value.status === Status.COMPLETED;
}

/** What a finished task is to its conversation. */
export function turnOf(record: TaskRecord): Turn {
  const { id: taskId, agent, content, status } = record;
  const { events } = record.log;
  const handedTo = lastHandoff(events);
  return { taskId, agent, content, answer: foldEvents(events, { taskId, status }).content, ...(handedTo && { handedTo }) };
}

export function byThread(additions: readonly Addition[]): Map<string, Addition["entry"][]> {
  const threads = new Map<string, Addition["entry"][]>();
  for (const { thread, entry } of additions) threads.set(thread, [...(threads.get(thread) ?? []), entry]);
  return threads;
}

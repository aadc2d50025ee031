import { ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { Turn } from "../agent/index.ts";
import { Status } from "../contract/index.ts";
import { createBackoff, taskBounds, timers } from "../core/index.ts";
import type { EntryAuthor, Threads } from "../memory/index.ts";
import { firstKept, type LogInfo, type Store } from "../store/index.ts";
import type { Addition } from "./additions.ts";
import { foldEvents } from "./answer.ts";
import { taskLogName } from "./entries.ts";
import type { KeptConversations } from "./kept-conversations.ts";
import type { TaskRecord } from "./record.ts";
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
    const log = prefix + this.#options.runner.id;
    const length = await this.#options.store.append(log, [Buffer.from(taskLogName(record.caller, record.id))]);
    this.#owed.set(record, { log, number: length - 1 });
  }

  /** Does what a finished task has left. What fails is tried again, later; waits for it only for a while. Never throws. */
  async settle(record: TaskRecord, author: EntryAuthor): Promise<void> {
    const done = this.#settle(record, author);
    await Promise.race([done, new Promise<void>((resolve) => void timers.schedule(taskBounds.aftermathPatienceMs, resolve))]);
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
        for (const info of infos) await this.#redoFor(info);
        after = infos.at(-1)?.name ?? "";
        if (after === "") break;
      }
    } catch (err) {
      log.warn({ err: ConnectError.from(err) }, "what finished tasks have left could not be looked for");
    }
    this.#redoing = false;
  }

  async #settle(record: TaskRecord, author: EntryAuthor): Promise<void> {
    const backoff = createBackoff({ initialMs: 100, maxMs: 30_000 });
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#apply(record, author);
        return await this.#done(record);
      } catch (thrown) {
        const isLast = attempt === taskBounds.maxAftermathAttempts;
        this.#options.log.warn(
          { err: ConnectError.from(thrown), task: record.id, isLast },
          "what a finished task leaves could not be kept",
        );
        if (isLast) return;
        await new Promise<void>((resolve) => void timers.schedule(backoff.nextMs(), resolve));
      }
    }
  }

  async #apply(record: TaskRecord, author: EntryAuthor): Promise<void> {
    if (!isCompleted(record)) return;
    const { conversations, threads } = this.#options;
    if (record.conversationId !== "") await conversations.append(record.caller, record.conversationId, turnOf(record));
    for (const [thread, entries] of byThread(record.additions ?? [])) await threads?.append(thread, entries, { author });
  }

  /** Takes the task's name out, when all before it are done, too. */
  async #done(record: TaskRecord): Promise<void> {
    const place = this.#owed.get(record);
    this.#owed.delete(record);
    if (place === undefined) return;
    const left = [...this.#owed.values()].filter(({ log }) => log === place.log).map(({ number }) => number);
    if (left.every((number) => number > place.number)) await this.#options.store.trim(place.log, place.number + 1);
  }

  /** @throws ConnectError what the store throws. */
  async #redoFor({ name, length }: LogInfo): Promise<void> {
    const { store, runner, log } = this.#options;
    const id = name.slice(prefix.length);
    if (id === runner.id) return;
    const names = await this.#namesIn(name);
    if (names.length === 0) return;
    const claim = await runner.takeOver(id);
    if (claim === undefined) return; // it lives, and does it itself
    try {
      for (const task of names) {
        const ended = await this.#options.load(task);
        if (ended !== undefined) await this.#apply(ended.record, ended.author);
      }
      await store.trim(name, length);
      log.info({ tasks: names.length }, "done what tasks of a server that died had left");
    } finally {
      await claim.release().catch(() => {}); // it ends in its time
    }
  }

  async #namesIn(log: string): Promise<string[]> {
    const names: string[] = [];
    const read = async (from: number) => {
      for await (const bytes of this.#options.store.read(log, from)) names.push(Buffer.from(bytes).toString());
    };
    try {
      await read(0);
    } catch (thrown) {
      const first = firstKept(thrown);
      if (first === undefined) throw thrown;
      await read(first);
    }
    return names;
  }
}

/** True when it has ended well, whether or not that is seen yet. */
function isCompleted({ log }: TaskRecord): boolean {
  const last = log.ended ? log.events.at(-1) : undefined;
  return typeof last === "object" && last.case === "finish" && last.value.status === Status.COMPLETED;
}

/** What a finished task is to its conversation. */
export function turnOf(record: TaskRecord): Turn {
  const { id: taskId, agent, content, status } = record;
  return { taskId, agent, content, answer: foldEvents(record.log.events, { taskId, status }).content };
}

export function byThread(additions: readonly Addition[]): Map<string, Addition["entry"][]> {
  const threads = new Map<string, Addition["entry"][]>();
  for (const { thread, entry } of additions) threads.set(thread, [...(threads.get(thread) ?? []), entry]);
  return threads;
}

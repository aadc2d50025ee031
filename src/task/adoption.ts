import { ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import { deadlineExceeded, taskBounds, taskEndedTrailer, unavailable } from "../core/index.ts";
import type { CallerIdentity } from "../identity/index.ts";
import { taskLogName } from "./entries.ts";
import type { Follower } from "./follower.ts";
import type { Journal, LoadedTask } from "./journal.ts";
import type { KeptEvent } from "./log.ts";
import type { Posts } from "./posts.ts";
import type { TaskRecord } from "./record.ts";
import type { TaskParts } from "./tasks.ts";
import { serverLost } from "./tasks.ts";

export interface AdoptionOptions {
  readonly parts: TaskParts;
  readonly journal: Journal;
  readonly posts: Posts;
  readonly log: Logger;
}

/** Brings tasks here that began elsewhere, or before: ended ones as they are, those at work as they go on, orphaned ones to their end. */
export class Adoption {
  readonly #options: AdoptionOptions;
  /** What is being taken over, by the name of its log: two of this server would not be kept apart by its lease. */
  readonly #claims = new Map<string, Promise<void>>();

  constructor(options: AdoptionOptions) {
    this.#options = options;
  }

  /** The caller's task, as the store has it; undefined when there is none. @throws ConnectError as {@link Journal.load}. */
  async load(taskId: string, identity: CallerIdentity): Promise<TaskRecord | undefined> {
    const { journal, parts } = this.#options;
    const loaded = await journal.load(identity.name, taskId, this.#onSettle);
    if (loaded === undefined) return undefined;
    if (loaded.record.log.settled) parts.table.keep(loaded.record);
    else await this.#adopt(loaded, identity);
    return loaded.record;
  }

  /** Goes on with a record that ran here and has been withdrawn. Never throws. */
  readopt(record: TaskRecord, { identity, runner }: { identity: CallerIdentity; runner: string }): void {
    const adopt = async () => {
      const begin = await this.#options.journal.begin(record);
      await this.#adopt({ record, begin, runner }, identity);
    };
    void adopt().catch((thrown: unknown) => record.fail(ConnectError.from(thrown), { isEnd: false }));
  }

  /** Follows the server that runs a task, or takes over from it. Who asked holds the record when this is over, and may be gone by then. */
  async #adopt(loaded: LoadedTask, identity: CallerIdentity): Promise<void> {
    const hold = loaded.record.attendance.hold();
    try {
      await this.#followOrClaim(loaded, identity);
    } finally {
      setImmediate(() => hold.release(true));
    }
  }

  async #followOrClaim(loaded: LoadedTask, identity: CallerIdentity): Promise<void> {
    const { record } = loaded;
    const name = taskLogName(record.caller, record.id);
    for (let other = this.#claims.get(name); other !== undefined; other = this.#claims.get(name)) await other;
    if (record.run !== undefined || record.log.settled) return; // this record has been taken over meanwhile: to follow it would double its events
    // followed first, so that the end of its server between the two is not missed
    const follower = this.#follow(loaded, identity);
    if (this.#options.posts.has(name)) return; // it runs here, on another record
    const claim = this.#claim(follower, loaded, identity);
    const over = claim.catch(() => {}).finally(() => this.#claims.delete(name));
    this.#claims.set(name, over);
    await claim;
  }

  #follow({ record, begin, runner }: LoadedTask, identity: CallerIdentity): Follower {
    return this.#options.journal.follow({ record, runner }, (follower) => {
      this.#orphaned({ record, begin, runner: follower.runner }, identity);
    });
  }

  /** While a claim is asked for, another server may have taken the task over, and given the claim back. */
  async #claim(follower: Follower, loaded: LoadedTask, identity: CallerIdentity): Promise<void> {
    for (;;) {
      const { runner } = follower;
      const claim = await this.#options.journal.takeOver(runner);
      if (claim === undefined) return;
      try {
        if (follower.isOver && loaded.record.source !== undefined) return; // another one follows: its adoption comes next
        if (follower.runner !== runner) continue;
        follower.end();
        return await this.#takeOver({ ...loaded, runner }, identity);
      } finally {
        await claim.release().catch(() => {}); // it ends in its time
      }
    }
  }

  /** The server that ran what is followed here has died. Never throws. */
  #orphaned(loaded: LoadedTask, identity: CallerIdentity): void {
    const { record } = loaded;
    if (!record.attendance.isAny) return;
    this.#adopt(loaded, identity).catch((thrown: unknown) => record.fail(ConnectError.from(thrown), { isEnd: false }));
  }

  async #takeOver(loaded: LoadedTask, identity: CallerIdentity): Promise<void> {
    const { journal, posts, parts, log } = this.#options;
    const { record, begin } = loaded;
    if (record.log.settled) return;
    await journal.runner.ready();
    posts.listen();
    const agent = parts.admission.agentNamed(record.agent);
    const leftMs = begin.deadlineMs - Date.now();
    const mayRestart = agent?.restartable === true && countRestarts(record.log.events) < taskBounds.maxRestarts;
    const writer = journal.keep(record);
    if (leftMs > 0 && mayRestart) record.append({ case: "restart", value: { from: currentRun(record.log.events) } });
    else
      record.stop(
        leftMs > 0 ? serverLost(record.id) : deadlineExceeded(`the task's time was over before its server's death was seen`),
      );
    let isKept = false;
    try {
      isKept = await writer.kept();
    } finally {
      if (!isKept) {
        record.log.dropUnseen();
        record.log.keepWith(undefined);
      }
    }
    if (!isKept) {
      // What this server had appended itself came to light: nobody would go on with it.
      if (loaded.runner === journal.runner.id) throw unavailable(`task "${record.id}" is about to begin anew; ask again`, 100);
      this.#follow(loaded, identity); // another server was faster
      return;
    }
    log.info({ task: record.id, agent: record.agent, restarted: mayRestart }, "a task was taken over from a server that died");
    if (record.log.settled || agent === undefined) return;
    posts.run(record, { agent, identity, envelope: begin.envelope, timeoutMs: leftMs }, writer);
  }

  /** For records that came from the store; some of them run here in the end. */
  readonly #onSettle = (record: TaskRecord): void => {
    const { table } = this.#options.parts;
    if (record.run !== undefined) this.#options.parts.onSettle(record);
    else if (record.keptBytes === undefined && isEnd(record)) table.keep(record);
  };
}

/** False when it is over here alone: who asks again may have more of it. */
function isEnd({ finish }: TaskRecord): boolean {
  return finish?.error === undefined || finish.error.metadata.has(taskEndedTrailer);
}

function countRestarts(events: readonly KeptEvent[]): number {
  return events.filter((event) => typeof event === "object" && event.case === "restart").length;
}

/** The number of the first event of the run at work: what the caller has answered before stays. */
function currentRun(events: readonly KeptEvent[]): number {
  const isOf = (event: KeptEvent | undefined, kind: string) => typeof event === "object" && event.case === kind;
  let from = events.findLastIndex((event) => isOf(event, "finish")) + 1;
  if (from > 0) while (isOf(events[from], "toolResult") || isOf(events[from], "input")) from++;
  return from;
}

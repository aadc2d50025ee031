import { ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import { deadlineExceeded, taskBounds } from "../core/index.ts";
import type { CallerIdentity } from "../identity/index.ts";
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

  /** Follows the server that runs a task, or takes over from it. */
  async #adopt(loaded: LoadedTask, identity: CallerIdentity): Promise<void> {
    const { journal } = this.#options;
    const { record, begin } = loaded;
    // followed first, so that the end of its server between the two is not missed
    const follower = journal.follow(loaded, ({ runner }) => {
      this.readopted({ record, begin, runner }, identity);
    });
    const claim = await journal.takeOver(loaded.runner);
    if (claim === undefined) return;
    follower.end();
    try {
      await this.#takeOver({ ...loaded, runner: follower.runner }, identity);
    } finally {
      await claim.release().catch(() => {}); // it ends in its time
    }
  }

  /** Never throws. */
  readopted(loaded: LoadedTask, identity: CallerIdentity): void {
    const { record } = loaded;
    if (!record.isAttended) return;
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
    if (!(await writer.kept())) {
      record.log.dropUnseen();
      record.log.keepWith(undefined);
      return await this.#adopt(loaded, identity); // another server was faster
    }
    log.info({ task: record.id, agent: record.agent, restarted: mayRestart }, "a task was taken over from a server that died");
    if (record.log.settled || agent === undefined) return;
    posts.run(record, { agent, identity, envelope: begin.envelope, timeoutMs: leftMs }, writer);
    record.hold().release(true); // who asked may be gone by now
  }

  /** For records that came from the store; some of them run here in the end. */
  readonly #onSettle = (record: TaskRecord): void => {
    const { table } = this.#options.parts;
    if (record.run !== undefined) this.#options.parts.onSettle(record);
    else if (record.keptBytes === undefined) table.keep(record);
  };
}

function countRestarts(events: readonly KeptEvent[]): number {
  return events.filter((event) => typeof event === "object" && event.case === "restart").length;
}

/** The number of the first event of the run at work: what the caller has answered before stays. */
function currentRun(events: readonly KeptEvent[]): number {
  const isOf = (event: KeptEvent | undefined, kind: string) => typeof event === "object" && event.case === kind;
  let from = events.findLastIndex((event) => isOf(event, "finish")) + 1;
  if (from > 0) while (isOf(events[from], "toolResult")) from++;
  return from;
}

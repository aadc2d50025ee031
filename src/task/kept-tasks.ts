import type { ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { Agent } from "../agent/index.ts";
import type { Task, TaskRequest } from "../contract/index.ts";
import { type Limits, taskBounds, unavailable } from "../core/index.ts";
import type { CallerIdentity } from "../identity/index.ts";
import type { Store } from "../store/index.ts";
import { Adoption } from "./adoption.ts";
import { Aftermath } from "./aftermath.ts";
import type { Caller } from "./caller.ts";
import { taskLogName } from "./entries.ts";
import { Executor } from "./executor.ts";
import { alreadyGiven, continues, givenEvents } from "./given.ts";
import { Journal } from "./journal.ts";
import { cancelKept, leaveKept } from "./kept-cancel.ts";
import { KeptConversations } from "./kept-conversations.ts";
import { Posts } from "./posts.ts";
import type { TaskRecord } from "./record.ts";
import { Retention } from "./retention.ts";
import { waits } from "./status.ts";
import { listTasks } from "./task-list.ts";
import type { TaskWriter } from "./task-writer.ts";
import {
  agentToContinue,
  attach,
  type CancelOptions,
  continuesHint,
  createRecord,
  type TaskParts,
  type Tasks,
  unknownTask,
} from "./tasks.ts";
import { settled } from "./wait-settled.ts";

/** Where tasks are kept. */
export interface Keeping {
  readonly store: Store;
  /** Shows events before they are kept. Default false. */
  readonly isEager?: boolean;
}

export interface KeptTasksOptions extends Keeping {
  readonly limits: Limits;
  readonly log: Logger;
}

/**
 * Tasks whose logs are kept in a store, which servers may share: whichever of them is asked for a task runs it, follows the one that does, or takes
 * over from one that has died.
 */
export class KeptTasks implements Tasks {
  readonly #parts: TaskParts;
  readonly #journal: Journal;
  readonly #posts: Posts;
  readonly #adoption: Adoption;
  readonly #aftermath: Aftermath;
  readonly #retention: Retention;
  #redoMs = 0;
  #retainMs = 0;
  /** Tasks that are being looked for or begun, by the name of their logs. */
  readonly #opening = new Map<string, Promise<TaskRecord | undefined>>();

  constructor(parts: TaskParts, { store, isEager = false, limits, log }: KeptTasksOptions) {
    this.#parts = { ...parts, onSettle: (record) => this.#settled(record, parts) };
    const conversations = new KeptConversations(store, limits);
    const executor = new Executor(parts.host, {
      conversationOf: ({ caller, conversationId }) => conversations.read(caller, conversationId),
    });
    this.#journal = new Journal(
      { store, isEager, limits, log },
      {
        finishing: (record) => (this.#aftermath.hasAny(record) ? this.#aftermath.owe(record) : undefined),
        finished: (record) => this.#finished(record),
        overtaken: (record) => {
          this.#posts.overtaken(record);
          this.#aftermath.recheck(record);
        },
        failed: (record, error) => {
          this.#posts.failed(record, error);
          this.#aftermath.recheck(record);
        },
        runnerLost: () => this.#posts.lost(),
      },
    );
    this.#aftermath = new Aftermath({
      store,
      runner: this.#journal.runner,
      conversations,
      threads: parts.host.threads,
      log,
      load: (name) => this.#journal.loadEnded(name),
    });
    this.#retention = new Retention({ store, limits, log, signal: this.#journal.signal });
    this.#posts = new Posts({
      parts: this.#parts,
      executor,
      journal: this.#journal,
      log,
      readopt: (record, init) => this.#adoption.readopt(record, init),
    });
    this.#adoption = new Adoption({ parts: this.#parts, journal: this.#journal, posts: this.#posts, log });
  }

  submit(request: TaskRequest, caller: Caller): TaskRecord | Promise<TaskRecord> {
    return request.taskId === "" ? this.#startUnnamed(request, caller) : this.#submitNamed(request, caller);
  }

  async find(taskId: string, identity: CallerIdentity): Promise<TaskRecord> {
    const record = await this.#known(taskId, identity);
    if (record.source !== undefined) record.attendance.hold().release(); // one look is enough; if somebody waits for it, it stays
    return record;
  }

  async cancel(taskId: string, identity: CallerIdentity, { leaving = false }: CancelOptions): Promise<TaskRecord> {
    const record = await this.#known(taskId, identity);
    await (leaving ? leaveKept : cancelKept)(record, {
      table: this.#parts.table,
      journal: this.#journal,
      ready: () => this.#ready(),
    });
    return record;
  }

  async list(identity: CallerIdentity, page: { after: string; limit: number }): Promise<Task[]> {
    return await listTasks(this.#journal.store, identity.name, {
      ...page,
      here: (id) => this.#parts.table.get(identity.name, id),
    });
  }

  /** Those whose agents are restartable are left to other servers. */
  stopAll(reason: ConnectError): void {
    const { table, admission } = this.#parts;
    for (const record of table.running()) {
      if (admission.agentNamed(record.agent)?.restartable === true) this.#posts.leave(record, reason);
      else record.stop(reason);
    }
  }

  /** Looks now and then for what servers that died have left, and for tasks that are over their time. */
  sweep(): void {
    const nowMs = performance.now();
    if (nowMs >= this.#redoMs) {
      this.#redoMs = nowMs + taskBounds.redoIntervalMs;
      void this.#aftermath.redo();
    }
    if (nowMs >= this.#retainMs) {
      this.#retainMs = nowMs + taskBounds.retentionIntervalMs;
      void this.#retention.sweep();
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#parts.table.running().map((record) => settled(record)));
    await this.#journal.close();
  }

  /** Nobody else can have such a task, so the agent does not wait for its begin to be kept. */
  #startUnnamed(request: TaskRequest, caller: Caller): TaskRecord | Promise<TaskRecord> {
    const agent = this.#parts.admission.admit(request, caller);
    const { runner } = this.#journal;
    if (!runner.isReady) return this.#ready().then(() => this.#startUnnamed(request, caller));
    const record = createRecord(request, { caller, agent }, this.#parts);
    const writer = this.#keepNew(record, request, caller);
    this.#run(record, { agent, caller, writer });
    writer.wake();
    return record;
  }

  async #submitNamed(request: TaskRequest, caller: Caller): Promise<TaskRecord> {
    const { name } = caller.identity;
    const open = () => this.#beginOrLoad(request, caller);
    const record = (await this.#here(name, request.taskId)) ?? (await this.#open(name, request.taskId, open));
    if (continues(request)) return await this.#continue(record, request, caller);
    return attach(record, request, this.#parts.admission);
  }

  /** The task, if this server has it, as it is. */
  async #here(caller: string, taskId: string): Promise<TaskRecord | undefined> {
    const record = this.#journal.followed(caller, taskId) ?? this.#parts.table.get(caller, taskId);
    if (record === undefined || !waits(record.status)) return record;
    if (!(await this.#journal.hasMore(record))) return record;
    this.#parts.table.withdraw(record); // another server has gone on with it
    return undefined;
  }

  /** @throws ConnectError NOT_FOUND when the caller has no such task. */
  async #known(taskId: string, identity: CallerIdentity): Promise<TaskRecord> {
    const load = () => this.#adoption.load(taskId, identity);
    const record = (await this.#here(identity.name, taskId)) ?? (await this.#open(identity.name, taskId, load));
    if (record === undefined) throw unknownTask(taskId);
    return record;
  }

  /**
   * Begins or loads a task that is not here. Of those who ask at once one does it, and the others get what came of it: who finds an entry of this
   * server in a log must not take it for one of a run that is over, while the run is about to start.
   */
  async #open<T extends TaskRecord | undefined>(
    caller: string,
    taskId: string,
    open: () => Promise<T>,
  ): Promise<T | TaskRecord> {
    const log = taskLogName(caller, taskId);
    for (let other = this.#opening.get(log); other !== undefined; other = this.#opening.get(log)) {
      const record = await other.catch(() => undefined); // what was wrong with that request may not be with this one
      if (record !== undefined) return record;
    }
    const opening = open().finally(() => this.#opening.delete(log));
    this.#opening.set(log, opening);
    return await opening;
  }

  async #beginOrLoad(request: TaskRequest, caller: Caller): Promise<TaskRecord> {
    const mayBegin = request.content !== "" && !continues(request);
    const agent = mayBegin ? this.#admitted(request, caller) : undefined;
    if (agent !== undefined && "run" in agent && request.fromIndex === 0) {
      const begun = await this.#begin(request, caller, agent); // first: nearly always there is none
      if (begun !== undefined) return begun;
    }
    const loaded = await this.#adoption.load(request.taskId, caller.identity);
    if (loaded !== undefined) return loaded;
    if (agent === undefined) throw unknownTask(request.taskId, continues(request) ? continuesHint : undefined);
    if (!("run" in agent)) throw agent.refusal;
    const begun = await this.#begin(request, caller, agent);
    if (begun !== undefined) return begun;
    throw unavailable(`task "${request.taskId}" was begun elsewhere this moment; ask again`, 100);
  }

  /** A task that is there may be attached to where none can begin. */
  #admitted(request: TaskRequest, caller: Caller): Agent | { readonly refusal: unknown } {
    try {
      return this.#parts.admission.admit(request, caller);
    } catch (refusal) {
      return { refusal };
    }
  }

  /** Undefined when the caller has a task with this id. */
  async #begin(request: TaskRequest, caller: Caller, agent: Agent): Promise<TaskRecord | undefined> {
    await this.#ready();
    const record = createRecord(request, { caller, agent }, this.#parts);
    const writer = this.#keepNew(record, request, caller);
    if (!(await writer.kept())) return undefined;
    this.#run(record, { agent, caller, writer });
    return record;
  }

  #keepNew(record: TaskRecord, request: TaskRequest, caller: Caller): TaskWriter {
    const { agent, createTimeMs } = record;
    const deadlineMs = createTimeMs + this.#parts.admission.timeoutMs(caller);
    return this.#journal.keep(record, {
      agent,
      caller: caller.identity,
      request,
      createTimeMs,
      deadlineMs,
      envelope: caller.envelope,
    });
  }

  #run(record: TaskRecord, { agent, caller, writer }: { agent: Agent; caller: Caller; writer: TaskWriter }): void {
    const { identity, envelope } = caller;
    const timeoutMs = this.#parts.admission.timeoutMs(caller);
    this.#posts.run(record, { agent, identity, envelope, timeoutMs }, writer);
  }

  async #continue(record: TaskRecord, request: TaskRequest, caller: Caller): Promise<TaskRecord> {
    if (alreadyGiven(record, request)) return record;
    const agent = agentToContinue(record, request, this.#parts.admission);
    await this.#ready();
    const writer = this.#journal.keep(record);
    record.log.reopen();
    for (const event of givenEvents(request)) record.append(event);
    if (await writer.kept()) {
      this.#run(record, { agent, caller, writer });
      return record;
    }
    this.#parts.table.withdraw(record);
    const { taskId } = request;
    throw unavailable(`task "${taskId}" was continued elsewhere this moment; ask again`, 100);
  }

  #settled(record: TaskRecord, { onSettle }: TaskParts): void {
    this.#posts.settled(record);
    onSettle(record);
  }

  #finished(record: TaskRecord): Promise<void> | undefined {
    const author = this.#posts.identityOf(record);
    return author !== undefined && this.#aftermath.hasAny(record) ? this.#aftermath.settle(record, author) : undefined;
  }

  async #ready(): Promise<void> {
    await this.#journal.runner.ready();
    this.#posts.listen();
    if (this.#redoMs === 0) this.sweep(); // with the first task: this server may be the one that died
  }
}

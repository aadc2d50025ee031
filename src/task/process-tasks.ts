import type { ConnectError } from "@connectrpc/connect";
import type { Task, TaskRequest } from "../contract/index.ts";
import type { CallerIdentity } from "../identity/index.ts";
import type { Addition } from "./additions.ts";
import { byThread, turnOf } from "./aftermath.ts";
import type { Caller } from "./caller.ts";
import { type Conversations, createConversations } from "./conversations.ts";
import { describeTask } from "./description.ts";
import { Executor } from "./executor.ts";
import { alreadyGiven, continues, givenEvents } from "./given.ts";
import type { TaskRecord } from "./record.ts";
import type { TaskRun } from "./run.ts";
import { withoutAnswer } from "./task-list.ts";
import {
  agentToContinue,
  attach,
  type CancelOptions,
  callerCancelled,
  continuesHint,
  createRecord,
  type TaskParts,
  type Tasks,
  unknownTask,
} from "./tasks.ts";

/** Tasks that end with the process. Nothing here waits. */
export class ProcessTasks implements Tasks {
  readonly #parts: TaskParts;
  readonly #conversations: Conversations;
  readonly #executor: Executor;

  constructor(parts: TaskParts) {
    const { host, limits } = parts;
    this.#parts = parts;
    this.#conversations = createConversations(limits);
    this.#executor = new Executor(host, {
      conversationOf: ({ caller, conversationId }) => this.#conversations.read(caller, conversationId),
      completing: (record, run) => this.#completing(record, run),
    });
  }

  submit(request: TaskRequest, caller: Caller): TaskRecord {
    const { table, admission } = this.#parts;
    const known = request.taskId === "" ? undefined : table.get(caller.identity.name, request.taskId);
    if (continues(request)) return this.#continue(known, request, caller);
    if (known !== undefined) return attach(known, request, admission);
    if (request.content === "") throw unknownTask(request.taskId);
    const agent = admission.admit(request, caller);
    const record = createRecord(request, { caller, agent }, this.#parts);
    table.add(record);
    this.#run(record, agent, caller);
    return record;
  }

  find(taskId: string, { name }: CallerIdentity): TaskRecord {
    const record = this.#parts.table.get(name, taskId);
    if (record === undefined) throw unknownTask(taskId);
    return record;
  }

  cancel(taskId: string, identity: CallerIdentity, { leaving = false }: CancelOptions): TaskRecord {
    const record = this.find(taskId, identity);
    if (leaving) record.attendance.callerLeft();
    else record.stop(callerCancelled());
    return record;
  }

  list({ name }: CallerIdentity, { after, limit }: { after: string; limit: number }): Task[] {
    const records = this.#parts.table.of(name).filter(({ id }) => id > after);
    const page = records.sort((one, other) => (one.id < other.id ? -1 : 1)).slice(0, limit);
    return page.map((record) => withoutAnswer(describeTask(record)));
  }

  stopAll(reason: ConnectError): void {
    for (const record of this.#parts.table.running()) record.stop(reason);
  }

  sweep(): void {
    this.#conversations.sweep();
  }

  async close(): Promise<void> {}

  /** What the task leaves is there before its end is seen. */
  #completing(record: TaskRecord, run: TaskRun): Promise<void> | undefined {
    if (run.added !== undefined) return this.#add(run.added, run).then(() => this.#remember(record, run));
    this.#remember(record, run);
    return undefined;
  }

  async #add(additions: readonly Addition[], { identity: author }: TaskRun): Promise<void> {
    for (const [thread, entries] of byThread(additions)) await this.#parts.host.threads?.append(thread, entries, { author });
  }

  /** A task that was stopped meanwhile, or failed at what it added, is no turn of its conversation. */
  #remember(record: TaskRecord, run: TaskRun): void {
    const { caller, conversationId } = record;
    if (conversationId !== "" && !run.over) this.#conversations.append(caller, conversationId, turnOf(record));
  }

  #continue(record: TaskRecord | undefined, request: TaskRequest, caller: Caller): TaskRecord {
    if (record === undefined) throw unknownTask(request.taskId, continuesHint);
    if (alreadyGiven(record, request)) return record;
    const { table, admission } = this.#parts;
    const agent = agentToContinue(record, request, admission);
    table.resume(record);
    record.log.reopen();
    for (const event of givenEvents(request)) record.append(event);
    this.#run(record, agent, caller);
    return record;
  }

  #run(record: TaskRecord, agent: ReturnType<typeof agentToContinue>, caller: Caller): void {
    const { admission } = this.#parts;
    const { identity, envelope } = caller;
    this.#executor.run(record, { agent, identity, envelope, timeoutMs: admission.timeoutMs(caller) });
  }
}

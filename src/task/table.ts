import type { Limits } from "../core/index.ts";
import type { TaskRecord } from "./record.ts";

/**
 * Every task that is known: those at work, and those that have ended until there are too many of them, too many bytes, or their time
 * is over; the one that ended longest ago leaves first. That order is a list through the records themselves.
 */
export class TaskTable {
  readonly #limits: Limits;
  /** By the caller's identity, then by id: the tasks of one caller are out of every other's reach. */
  readonly #byCaller = new Map<string, Map<string, TaskRecord>>();
  #runningCount = 0;
  #endedCount = 0;
  #endedBytes = 0;
  #oldest: TaskRecord | undefined;
  #youngest: TaskRecord | undefined;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get runningCount(): number {
    return this.#runningCount;
  }

  /** The task of this caller, unless it never was or has been forgotten. */
  get(caller: string, id: string): TaskRecord | undefined {
    this.sweep();
    return this.#byCaller.get(caller)?.get(id);
  }

  /** Adds a task that is about to run for the first time. */
  add(record: TaskRecord): void {
    let tasks = this.#byCaller.get(record.caller);
    if (tasks === undefined) {
      tasks = new Map();
      this.#byCaller.set(record.caller, tasks);
    }
    tasks.set(record.id, record);
    this.#runningCount++;
  }

  /** Notes that an ended task runs again. */
  resume(record: TaskRecord): void {
    this.#unlink(record);
    this.#runningCount++;
  }

  /** Notes that a task at work has ended, or that one is stopped which waited for tool results; if forgotten by then, it stays so. */
  end(record: TaskRecord): void {
    if (record.run !== undefined) this.#runningCount--;
    else if (record.keptBytes === undefined) return;
    else this.#unlink(record);
    this.#link(record);
    this.sweep(record.endTimeMs);
  }

  running(): TaskRecord[] {
    return [...this.#byCaller.values()].flatMap((tasks) =>
      [...tasks.values()].filter(({ keptBytes }) => keptBytes === undefined),
    );
  }

  /** Forgets what is over the bounds. Reading and writing do it too; call it to free the memory of a table that is left alone. */
  sweep(nowMs = Date.now()): void {
    const { maxEndedTasks, maxEndedTasksBytes, endedTaskTtlMs } = this.#limits;
    for (let record = this.#oldest; record !== undefined; record = this.#oldest) {
      const over = this.#endedCount > maxEndedTasks || this.#endedBytes > maxEndedTasksBytes;
      if (!over && record.endTimeMs + endedTaskTtlMs > nowMs) return;
      this.#unlink(record);
      this.#forget(record);
    }
  }

  #link(record: TaskRecord): void {
    record.keptBytes = record.log.bytes + record.content.length;
    record.older = this.#youngest;
    if (this.#youngest === undefined) this.#oldest = record;
    else this.#youngest.younger = record;
    this.#youngest = record;
    this.#endedCount++;
    this.#endedBytes += record.keptBytes;
  }

  #unlink(record: TaskRecord): void {
    const { older, younger, keptBytes = 0 } = record;
    if (older === undefined) this.#oldest = younger;
    else older.younger = younger;
    if (younger === undefined) this.#youngest = older;
    else younger.older = older;
    record.older = record.younger = undefined; // else one old record that is not collected yet would keep all after it
    record.keptBytes = undefined;
    this.#endedCount--;
    this.#endedBytes -= keptBytes;
  }

  #forget({ caller, id }: TaskRecord): void {
    const tasks = this.#byCaller.get(caller);
    tasks?.delete(id);
    if (tasks?.size === 0) this.#byCaller.delete(caller);
  }
}

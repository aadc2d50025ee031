import type { Limits } from "../core/index.ts";
import type { TaskRecord } from "./record.ts";

/** Records in the order in which they were added, a list through the records themselves: a record is in one list at a time. */
class RecordList {
  oldest: TaskRecord | undefined;
  youngest: TaskRecord | undefined;
  count = 0;

  add(record: TaskRecord): void {
    record.older = this.youngest;
    if (this.youngest === undefined) this.oldest = record;
    else this.youngest.younger = record;
    this.youngest = record;
    this.count++;
  }

  remove(record: TaskRecord): void {
    const { older, younger } = record;
    if (older === undefined) this.oldest = younger;
    else older.younger = younger;
    if (younger === undefined) this.youngest = older;
    else younger.older = older;
    record.older = record.younger = undefined; // else one old record that is not collected yet would keep all after it
    this.count--;
  }
}

/**
 * Every task that is known: those at work, and those that have ended until there are too many of them, too many bytes, or their time
 * is over; the one that ended longest ago leaves first.
 *
 * Tasks that the server named are put into the index with the first question that may be for one of them. Most are forgotten before
 * anybody asks, and an index of thousands of random names costs more than the rest of the table.
 */
export class TaskTable {
  readonly #limits: Limits;
  /** By the caller's identity, then by id: the tasks of one caller are out of every other's reach. */
  readonly #byCaller = new Map<string, Map<string, TaskRecord>>();
  readonly #running = new RecordList();
  readonly #ended = new RecordList();
  #endedBytes = 0;
  /** How many records are in a list and not in the index. */
  #unindexed = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get runningCount(): number {
    return this.#running.count;
  }

  /** The task of this caller, unless it never was or has been forgotten. */
  get(caller: string, id: string): TaskRecord | undefined {
    this.#indexRest();
    return this.#byCaller.get(caller)?.get(id);
  }

  /** Adds a task that is about to run for the first time. */
  add(record: TaskRecord): void {
    this.#running.add(record);
    if (record.namesTask) this.#index(record);
    else this.#unindexed++;
  }

  /** Notes that an ended task runs again. */
  resume(record: TaskRecord): void {
    if (record.keptBytes === undefined)
      this.add(record); // it came from the store
    else {
      this.#unkeep(record);
      this.#running.add(record);
    }
  }

  /** Keeps a task that has ended elsewhere, like one that has ended here. */
  keep(record: TaskRecord): void {
    this.#index(record);
    this.#end(record);
  }

  /** Forgets a task that runs here no more. */
  withdraw(record: TaskRecord): void {
    if (record.keptBytes !== undefined) this.#unkeep(record);
    else this.#running.remove(record);
    this.#forget(record);
  }

  /** Notes that a task at work has ended, or that one is stopped which waited for tool results; if forgotten by then, it stays so. */
  end(record: TaskRecord): void {
    if (record.run !== undefined) this.#running.remove(record);
    else if (record.keptBytes === undefined) return;
    else this.#unkeep(record);
    this.#end(record);
  }

  #end(record: TaskRecord): void {
    record.keptBytes = record.log.bytes + record.content.length;
    this.#endedBytes += record.keptBytes;
    this.#ended.add(record);
    this.sweep(record.endTimeMs);
  }

  /** All of a caller. */
  of(caller: string): TaskRecord[] {
    this.#indexRest();
    return [...(this.#byCaller.get(caller)?.values() ?? [])];
  }

  running(): TaskRecord[] {
    const records: TaskRecord[] = [];
    for (let record = this.#running.oldest; record !== undefined; record = record.younger) records.push(record);
    return records;
  }

  /** Forgets what is over the bounds. Reading and writing do it too; call it to free the memory of a table that is left alone. */
  sweep(nowMs = Date.now()): void {
    const { maxEndedTasks, maxEndedTasksBytes, endedTaskTtlMs } = this.#limits;
    for (let record = this.#ended.oldest; record !== undefined; record = this.#ended.oldest) {
      const over = this.#ended.count > maxEndedTasks || this.#endedBytes > maxEndedTasksBytes;
      if (!over && record.endTimeMs + endedTaskTtlMs > nowMs) return;
      this.#unkeep(record);
      this.#forget(record);
    }
  }

  #unkeep(record: TaskRecord): void {
    this.#ended.remove(record);
    this.#endedBytes -= record.keptBytes ?? 0;
    record.keptBytes = undefined;
  }

  #indexRest(): void {
    this.sweep();
    if (this.#unindexed === 0) return;
    this.#indexAll(this.#running);
    this.#indexAll(this.#ended);
  }

  /** From the youngest on: those that were asked for before are old. */
  #indexAll(list: RecordList): void {
    for (let record = list.youngest; record !== undefined && this.#unindexed > 0; record = record.older) {
      if (record.indexed) continue;
      this.#index(record);
      this.#unindexed--;
    }
  }

  #index(record: TaskRecord): void {
    let tasks = this.#byCaller.get(record.caller);
    if (tasks === undefined) {
      tasks = new Map();
      this.#byCaller.set(record.caller, tasks);
    }
    tasks.set(record.id, record);
    record.indexed = true;
  }

  #forget(record: TaskRecord): void {
    const { caller, id, indexed } = record;
    if (!indexed) {
      this.#unindexed--;
      return;
    }
    const tasks = this.#byCaller.get(caller);
    if (tasks?.get(id) === record) tasks.delete(id);
    if (tasks?.size === 0) this.#byCaller.delete(caller);
  }
}

import { taskBounds, unavailable } from "../core/index.ts";
import { taskLogName } from "./entries.ts";
import type { Journal } from "./journal.ts";
import { leaveNote } from "./notes.ts";
import type { TaskRecord } from "./record.ts";
import { waits } from "./status.ts";
import type { TaskTable } from "./table.ts";
import { callerCancelled } from "./tasks.ts";
import { settled } from "./wait-settled.ts";

interface CancelParts {
  readonly table: TaskTable;
  readonly journal: Journal;
  /** Settles when this server may append to tasks' logs. */
  ready(): Promise<void>;
}

/**
 * Cancels a kept task, wherever it runs; one that has ended stays as it is.
 *
 * @throws ConnectError UNAVAILABLE when the server that runs it does not answer, or another one has just gone on with it.
 */
export async function cancelKept(record: TaskRecord, parts: CancelParts): Promise<void> {
  if (record.log.settled && !waits(record.status)) return;
  if (record.run !== undefined) {
    record.stop(callerCancelled());
    await settled(record);
  } else if (record.log.settled) await cancelWaiting(record, parts);
  else await cancelElsewhere(record, parts.journal);
}

/** Tells the server that runs a task that one caller does not come back. @throws ConnectError what the store throws. */
export async function leaveKept(record: TaskRecord, { journal }: CancelParts): Promise<void> {
  if (record.log.settled) return;
  if (record.run !== undefined || record.attendance.isAny) record.attendance.callerLeft();
  else {
    const { store } = journal;
    const task = taskLogName(record.caller, record.id);
    await leaveNote({ store, to: journal.runnerOf(record), wish: "leave", task, isShort: true });
    record.attendance.hold().release(); // it need not be followed here
  }
}

/** One that waits for tool results, and runs nowhere. */
async function cancelWaiting(record: TaskRecord, { table, journal, ready }: CancelParts): Promise<void> {
  await ready();
  const writer = journal.keep(record);
  record.stop(callerCancelled());
  if (await writer.kept()) return;
  table.withdraw(record);
  throw unavailable(`task "${record.id}" was continued elsewhere this moment; ask again`, 100);
}

async function cancelElsewhere(record: TaskRecord, journal: Journal): Promise<void> {
  const hold = record.attendance.hold();
  const task = taskLogName(record.caller, record.id);
  const { store } = journal;
  const note = await leaveNote({ store, to: journal.runnerOf(record), wish: "cancel", task });
  try {
    if (await settled(record, taskBounds.cancelPatienceMs)) return;
    throw unavailable(`the server that runs task "${record.id}" does not answer; ask again`, 1_000);
  } finally {
    await note.withdraw();
    hold.release();
  }
}

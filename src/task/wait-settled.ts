import { timers } from "../core/index.ts";
import type { TaskRecord } from "./record.ts";

/** Waits until a task has settled. @returns false when it has not within `timeoutMs`. Default: as long as it takes. */
export function settled(record: TaskRecord, timeoutMs?: number): Promise<boolean> {
  if (record.log.settled) return Promise.resolve(true);
  return new Promise((resolve) => {
    const attendant = () => {
      due?.cancel();
      resolve(true);
    };
    const late = () => {
      record.attendance.leave(attendant, true);
      resolve(false);
    };
    const due = timeoutMs === undefined ? undefined : timers.schedule(timeoutMs, late);
    record.attendance.attend(attendant);
  });
}

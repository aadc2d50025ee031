import type { TaskEvent } from "../core/index.ts";
import type { KeptEvent } from "./log.ts";

/** The events without those that a restart made void. */
export function valid(events: readonly KeptEvent[]): readonly KeptEvent[] {
  if (!events.some(isRestart)) return events; // as nearly always
  const kept: (KeptEvent | undefined)[] = [];
  for (const event of events) {
    kept.push(isRestart(event) ? undefined : event); // the others keep their numbers
    if (isRestart(event)) kept.fill(undefined, event.value.from);
  }
  return kept.filter((event) => event !== undefined);
}

/** Where a reader begins who cannot be told what is void: after what is so from the task's beginning. */
export function firstValid(events: readonly KeptEvent[]): number {
  return events.findLastIndex((event) => isRestart(event) && event.value.from === 0) + 1;
}

function isRestart(event: KeptEvent): event is Extract<TaskEvent, { case: "restart" }> {
  return typeof event === "object" && event.case === "restart";
}

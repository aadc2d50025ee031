import { join } from "node:path";
import { citation, defineAgent, type Task } from "convoke";
import { Temporal } from "temporal-polyfill";
import { type Busy, busyTimes, type Calendar, type Interval, readCalendars, Unanswerable, workingTimes } from "./calendar.ts";
import { type Request, readRequest } from "./request.ts";

const maxSlots = 5;
const gridMs = 15 * 60_000; // people meet at quarter hours

/** Finds times at which people are free, in their iCalendar files (the folder that CONVOKE_CALENDARS names). */
export default defineAgent({
  name: "schedule",
  description: "Finds free times in the calendars of a team, in working hours of everybody's own time zone.",
  capabilities: ["schedule"],
  examples: ["30 minutes with Ana and Ben next Tuesday", "An hour with Chloe tomorrow", "Free slots for everyone this week"],
  async *run(task, ctx) {
    try {
      yield* answer(task, ctx.signal);
    } catch (error) {
      if (!(error instanceof Unanswerable)) throw error;
      yield error.message;
    }
  },
});

async function* answer(task: Task, signal: AbortSignal) {
  const folder = process.env["CONVOKE_CALENDARS"] ?? join(import.meta.dirname, "calendars");
  const request = readRequest(task.content, task.metadata, await readCalendars(folder, signal));
  const span = { startMs: request.windows[0]?.startMs ?? 0, endMs: request.windows.at(-1)?.endMs ?? 0 };
  const shared = request.attendees.map(({ zone }) => workingTimes(zone, span)).reduce(overlaps, request.windows);
  const busy = request.attendees.flatMap((calendar) => busyTimes(calendar, span));

  yield `${heading(request, span)}\n`;
  let searchedMs = span.endMs;
  let count = 0;
  for (const slot of freeSlots(shared, busy, request.minutes * 60_000)) {
    yield `- ${request.attendees.map((attendee) => localTime(attendee, slot)).join(", ")}\n`;
    searchedMs = slot.endMs;
    count += 1;
    if (count === maxSlots) break;
  }
  if (count === 0) yield shared.length > 0 ? "No slot is free.\n" : "There are no shared working hours.\n";
  const searched = shared.filter(({ startMs }) => startMs < searchedMs);
  yield* sources(busy.filter((event) => event.startMs < searchedMs && overlaps(searched, [event]).length > 0));
}

/** Slots in order, each the earliest that fits after the one before. */
function* freeSlots(shared: readonly Interval[], busy: readonly Interval[], durationMs: number) {
  for (const { startMs, endMs } of shared) {
    // A window just as long as the meeting is a time that was asked for ("at 3:10pm"): it stays as it is.
    let nextMs = endMs - startMs === durationMs ? startMs : onGrid(startMs);
    while (nextMs + durationMs <= endMs) {
      const slot = { startMs: nextMs, endMs: nextMs + durationMs };
      const taken = busy.find((event) => event.startMs < slot.endMs && event.endMs > slot.startMs);
      if (!taken) yield slot;
      nextMs = onGrid((taken ?? slot).endMs);
    }
  }
}

/** An event that recurs is cited once: all its occurrences rest on the same lines. */
function* sources(busy: readonly Busy[]) {
  const byPlace = new Map(busy.map((event) => [`${event.uri}:${event.line[0]}`, event]));
  for (const { uri, title, quote, line } of byPlace.values()) yield citation({ uri, title, quote, line });
}

function overlaps(some: readonly Interval[], others: readonly Interval[]): Interval[] {
  return some.flatMap((one) =>
    others
      .map((other) => ({ startMs: Math.max(one.startMs, other.startMs), endMs: Math.min(one.endMs, other.endMs) }))
      .filter(({ startMs, endMs }) => startMs < endMs),
  );
}

function onGrid(timeMs: number): number {
  return Math.ceil(timeMs / gridMs) * gridMs;
}

function heading({ minutes, attendees, zone }: Request, { startMs, endMs }: Interval): string {
  const names = new Intl.ListFormat("en-GB").format(attendees.map(({ name }) => name));
  const first = `${day(startMs, zone)} ${at(startMs, zone).year}`;
  const last = `${day(endMs - 1, zone)} ${at(endMs - 1, zone).year}`;
  return `${minutes} minutes with ${names}, ${first === last ? first : `${first} to ${last}`} (${zone}):`;
}

function localTime({ name, zone }: Calendar, { startMs, endMs }: Interval): string {
  return `${name} ${day(startMs, zone)} ${clock(startMs, zone)}–${clock(endMs, zone)} (${zone})`;
}

function day(timeMs: number, zone: string): string {
  return at(timeMs, zone).toLocaleString("en-GB", { weekday: "short", day: "numeric", month: "short" });
}

function clock(timeMs: number, zone: string): string {
  return at(timeMs, zone).toPlainTime().toString({ smallestUnit: "minute" });
}

function at(timeMs: number, zone: string): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(timeMs).toZonedDateTimeISO(zone);
}

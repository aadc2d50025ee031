import { join } from "node:path";
import { Code, ConnectError, defineTool } from "convoke";
import { Temporal } from "temporal-polyfill";
import { z } from "zod";
import { busyTimes, type Interval, readCalendars, workingTimes } from "../team/calendar.ts";

const folder = process.env["CONVOKE_CALENDARS"] ?? join(import.meta.dirname, "../team/calendars");
const time = z.iso.datetime().describe("an instant, such as 2026-12-01T14:00:00Z");
const times = z.object({ from: time, to: time });

/** What one person does on a day, with the lines of the calendar that say so: they are what an answer can cite. */
export const readCalendar = defineTool({
  name: "read_calendar",
  description: "Gives the working hours of a person on a day, and what keeps the person busy then.",
  input: z.object({ person: z.string(), day: z.iso.date() }),
  async run({ person, day }, { signal }) {
    const calendars = await readCalendars(folder, signal);
    const calendar = calendars.find(({ name }) => name.toLowerCase() === person.toLowerCase());
    if (calendar === undefined) {
      const names = calendars.map(({ name }) => name).join(", ");
      throw new ConnectError(`there is no calendar of ${person}, but of ${names}`, Code.NotFound);
    }
    const { zone, uri } = calendar;
    const date = Temporal.PlainDate.from(day);
    const span = { startMs: startOf(date, zone), endMs: startOf(date.add({ days: 1 }), zone) };
    const [working] = workingTimes(zone, span);
    const busy = busyTimes(calendar, span).map(({ title, quote, ...event }) => ({ title, quote, ...instants(event) }));
    return { uri, working: working === undefined ? null : instants(working), busy };
  },
});

/** What a model should not compute in its head. */
export const findFreeTime = defineTool({
  name: "find_free_time",
  description:
    "Gives the first free stretch of some minutes within all windows that overlaps with nothing that is busy; null for none.",
  input: z.object({
    minutes: z.int().min(5).max(480),
    windows: z.array(times).min(1).max(50),
    busy: z.array(times).max(1_000),
  }),
  run({ minutes, windows, busy }) {
    const endMs = Math.min(...windows.map(({ to }) => Date.parse(to)));
    const lengthMs = minutes * 60_000;
    let startMs = Math.max(...windows.map(({ from }) => Date.parse(from)));
    const inOrder = busy.map(({ from, to }) => [Date.parse(from), Date.parse(to)] as const); // pairs, not lists
    for (const [busyMs, freeMs] of inOrder.sort(([one], [other]) => one - other)) {
      if (busyMs < startMs + lengthMs && freeMs > startMs) startMs = freeMs;
    }
    return startMs + lengthMs > endMs ? null : instants({ startMs, endMs: startMs + lengthMs });
  },
});

function startOf(date: Temporal.PlainDate, zone: string): number {
  return date.toZonedDateTime(zone).epochMilliseconds;
}

function instants({ startMs, endMs }: Interval) {
  const text = (timeMs: number) => Temporal.Instant.fromEpochMilliseconds(timeMs).toString();
  return { from: text(startMs), to: text(endMs) };
}

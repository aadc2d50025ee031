import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import ical, { type EventInstance, type VEvent } from "node-ical";
import { Temporal } from "temporal-polyfill";

const maxCalendars = 50;
const maxFileBytes = 1_000_000;
const dayMs = 24 * 60 * 60 * 1000;
const workdayStart = Temporal.PlainTime.from("09:00");
const workdayEnd = Temporal.PlainTime.from("17:00");

/** A stretch of time, in milliseconds since 1970. The end is not part of it. */
export interface Interval {
  readonly startMs: number;
  readonly endMs: number;
}

/** One occurrence of an event that keeps its owner busy, and where the file says so. */
export interface Busy extends Interval {
  readonly uri: string;
  readonly title: string;
  /** The event's time as the file writes it. */
  readonly quote: string;
  /** First and last line of the event, from 1. */
  readonly line: readonly [first: number, last: number];
}

/** One person's calendar file. */
export interface Calendar {
  readonly name: string;
  /** The IANA time zone that the person works in. */
  readonly zone: string;
  readonly uri: string;
  readonly lines: readonly string[];
  readonly events: readonly VEvent[];
}

/** What the asker has to be told instead of an answer: one sentence with what was wrong and what would be right. */
export class Unanswerable extends Error {}

/**
 * Reads every .ics file of a folder, in the order of the file names.
 *
 * @throws Unanswerable when there are none, or one of them cannot be read as a calendar.
 */
export async function readCalendars(folder: string, signal: AbortSignal): Promise<Calendar[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile() && extname(entry.name).toLowerCase() === ".ics");
  if (files.length === 0) throw new Unanswerable("There are no calendars: set CONVOKE_CALENDARS to a folder with .ics files.");
  if (files.length > maxCalendars) throw new Unanswerable(`There are ${files.length} calendars, at most ${maxCalendars} work.`);
  const paths = files.map((file) => join(folder, file.name)).sort();
  return Promise.all(paths.map((path) => readCalendar(path, signal)));
}

/** The person's busy times that touch `span`: events that are transparent or cancelled do not count. */
export function busyTimes(calendar: Calendar, span: Interval): Busy[] {
  // All-day events are expanded in the zone of this machine, which can be a day away from the person's.
  const range = { from: new Date(span.startMs - dayMs), to: new Date(span.endMs + dayMs), expandOngoing: true };
  return attempt(calendar.uri, () => calendar.events.flatMap((event) => ical.expandRecurringEvent(event, range)))
    .filter(({ event }) => event.transparency !== "TRANSPARENT" && event.status !== "CANCELLED")
    .map((instance) => ({ ...timeOf(instance, calendar.zone), ...sourceOf(instance, calendar) }))
    .filter(({ startMs, endMs }) => startMs < endMs && startMs < span.endMs && endMs > span.startMs);
}

/** 09:00 to 17:00 from Monday to Friday, on the clock of `zone`. */
export function workingTimes(zone: string, span: Interval): Interval[] {
  const times: Interval[] = [];
  let day = dateAt(span.startMs, zone);
  for (const last = dateAt(span.endMs, zone); Temporal.PlainDate.compare(day, last) <= 0; day = day.add({ days: 1 })) {
    if (day.dayOfWeek > 5) continue;
    const start = day.toZonedDateTime({ timeZone: zone, plainTime: workdayStart });
    const end = day.toZonedDateTime({ timeZone: zone, plainTime: workdayEnd });
    times.push({ startMs: start.epochMilliseconds, endMs: end.epochMilliseconds });
  }
  return times;
}

/** Whether `zone` names a time zone. */
export function isZone(zone: string): boolean {
  try {
    return Temporal.Now.zonedDateTimeISO(zone) !== undefined;
  } catch {
    return false;
  }
}

async function readCalendar(path: string, signal: AbortSignal): Promise<Calendar> {
  const uri = `${basename(dirname(path))}/${basename(path)}`;
  if ((await stat(path)).size > maxFileBytes) throw new Unanswerable(`${uri} is larger than ${maxFileBytes} bytes.`);
  const lines = (await readFile(path, { encoding: "utf8", signal })).split(/(?<=\n)/);
  // The parser leaves these extra dates out; a busy time would look free.
  if (lines.some((line) => line.startsWith("RDATE")))
    throw new Unanswerable(`${uri} has RDATE lines, which cannot be read; use RRULE.`);
  const zone = lines.map((line) => /^X-WR-TIMEZONE:(\S+)/.exec(line)?.[1]).find((value) => value !== undefined) ?? "UTC";
  if (!isZone(zone)) throw new Unanswerable(`${uri} has X-WR-TIMEZONE ${zone}; it should be a zone such as Europe/Berlin.`);
  const { vcalendar, ...components } = attempt(uri, () => ical.sync.parseICS(prepare(lines, zone)));
  if (vcalendar === undefined) throw new Unanswerable(`${uri} is not an iCalendar file; it should begin with BEGIN:VCALENDAR.`);
  const events = Object.values(components).filter((component) => component?.type === "VEVENT") as VEvent[]; // by its type
  const name = vcalendar["WR-CALNAME"]?.trim() || basename(path, extname(path));
  return { name, zone, uri, lines, events: events.filter((event) => event.start instanceof Date) };
}

/** Numbers the events, since the parser drops their lines, and gives floating times the calendar's zone, not this machine's. */
function prepare(lines: readonly string[], zone: string): string {
  const numbered = lines.map((line, at) => (line.startsWith("BEGIN:VEVENT") ? `${line}X-CONVOKE-LINE:${at + 1}\n` : line));
  return numbered
    .map((line) => line.replace(/^(DTSTART|DTEND|RECURRENCE-ID|EXDATE):(?=[\dT,]+\s*$)/, `$1;TZID=${zone}:`))
    .join("");
}

function timeOf({ start, end, isFullDay }: EventInstance, zone: string): Interval {
  if (!isFullDay) return { startMs: start.getTime(), endMs: end.getTime() };
  const midnightMs = (date: Date) =>
    new Temporal.PlainDate(date.getFullYear(), date.getMonth() + 1, date.getDate()).toZonedDateTime(zone).epochMilliseconds;
  return { startMs: midnightMs(start), endMs: midnightMs(end) };
}

function sourceOf({ event, summary }: EventInstance, { uri, lines }: Calendar) {
  const first = Number(event["CONVOKE-LINE"]);
  const last = lines.findIndex((line, at) => at >= first && line.startsWith("END:VEVENT")) + 1;
  const block = lines.slice(first - 1, last);
  const from = block.findIndex((line) => line.startsWith("DTSTART"));
  const to = block.findIndex((line, at) => at > from && !/^(?:DTEND|DURATION|RRULE|EXDATE|[ \t])/.test(line));
  const isPrivate = event.class === "PRIVATE" || event.class === "CONFIDENTIAL";
  const title = isPrivate ? "Private" : typeof summary === "string" ? summary : summary.val;
  return { uri, title, quote: block.slice(from, to).join("").trimEnd(), line: [first, last] as const }; // a pair, not a list
}

function attempt<T>(uri: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Unanswerable(`${uri} cannot be read as a calendar: ${reason}.`, { cause });
  }
}

function dateAt(timeMs: number, zone: string): Temporal.PlainDate {
  return Temporal.Instant.fromEpochMilliseconds(timeMs).toZonedDateTimeISO(zone).toPlainDate();
}

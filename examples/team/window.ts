import { type ParsedComponents, type ParsedResult, parse } from "chrono-node";
import { Temporal } from "temporal-polyfill";
import { type Interval, Unanswerable } from "./calendar.ts";

const defaultDays = 7;
const maxDays = 31;

type Moment = Temporal.ZonedDateTime;
type Span = readonly [start: Moment, end: Moment];

/** The times that a text names, in order and apart, at most 31 days of them; and the text without their names. */
export interface Windows {
  readonly windows: readonly Interval[];
  readonly rest: string;
}

/**
 * Finds the dates and times in a text, read on the clock of `now`. The next seven days when there are none.
 *
 * A window that starts when it ends is a point in time ("at 3pm").
 *
 * @throws Unanswerable when the time is over, or more than a year away.
 */
export function readWindows(text: string, now: Moment): Windows {
  const spaced = text
    .replace(/\bbetween (.+?) and /gi, "from $1 to ")
    .replace(/\b(?:the )?week (?:of|beginning) /gi, "week-of ");
  // chrono reads and compares wall clocks of the machine's zone, so it is given the asker's clock as if it were that.
  const clock = new Date(now.year, now.month - 1, now.day, now.hour, now.minute);
  const results = parse(spaced, clock, { forwardDate: true });
  const spans = results.map((result) => spanOf(result, spaced.slice(0, result.index), now));
  if (spans.length === 0) spans.push([now, now.add({ days: defaultDays })]);
  const rest = results.reduceRight((left, { index, text }) => left.slice(0, index) + left.slice(index + text.length), spaced);
  return { windows: bounded(spans.map(toInterval), now), rest };
}

/** Sorts, keeps the narrower of two nested windows ("Tuesday next week"), cuts off what is over or too much. */
function bounded(windows: readonly Interval[], now: Moment): Interval[] {
  const width = ({ startMs, endMs }: Interval) => endMs - startMs;
  const holds = (outer: Interval, inner: Interval) =>
    outer.startMs <= inner.startMs && inner.endMs <= outer.endMs && width(inner) < width(outer);
  const sorted = windows
    .filter((window) => !windows.some((other) => holds(window, other)))
    .sort((a, b) => a.startMs - b.startMs);
  let fromMs = now.epochMilliseconds;
  const ahead = sorted.filter(({ startMs, endMs }) => startMs <= endMs && (endMs > fromMs || startMs >= fromMs));
  const first = ahead[0];
  if (first === undefined) throw new Unanswerable("That time is over; ask for a time to come.");
  if (first.startMs > now.add({ years: 1 }).epochMilliseconds) {
    throw new Unanswerable("That is more than a year away; ask for a time within a year.");
  }
  const start = Temporal.Instant.fromEpochMilliseconds(Math.max(first.startMs, fromMs)).toZonedDateTimeISO(now.timeZoneId);
  const untilMs = start.add({ days: maxDays }).epochMilliseconds;
  return ahead.flatMap(({ startMs, endMs }) => {
    const window = { startMs: Math.max(startMs, fromMs), endMs: Math.min(endMs, untilMs) };
    fromMs = Math.max(fromMs, window.endMs);
    return window.startMs <= window.endMs ? [window] : [];
  });
}

/** What one expression means as a stretch of time; `before` is the text in front of it. */
function spanOf(result: ParsedResult, before: string, now: Moment): Span {
  const says = (part: "year" | "month" | "day" | "hour") => result.start.isCertain(part);
  const text = result.text.toLowerCase().replace(/from now|day after tomorrow/, "");
  const from = momentOf(result, result.start, now);
  const day = from.startOfDay();
  const nextDay = day.add({ days: 1 });
  const lead = /\b(?:by|until|till|before|after|from|since|starting)\s+$/i.exec(before)?.[0].toLowerCase() ?? "";
  const has = (words: RegExp) => words.test(lead + text);
  const fromNow = result.tags().has("result/relativeDateAndTime") || result.tags().has("casualReference/now");

  if (/\bweek-of $/i.test(before)) return weekOf(from);
  if (/^(?:this|the|next|last|past) week$/.test(text)) return weekOf(/^th/.test(text) ? now : from);
  if (says("year") && !says("month")) return [day.with({ month: 1, day: 1 }), day.with({ month: 12, day: 31 })];
  if (says("month") && !says("day")) return monthOf(day, now, says("year"));
  if (/^(?:the )?next |^within /.test(text) && result.tags().has("result/relativeDate")) return [now, fromNow ? from : nextDay];
  if (result.end && says("hour")) return [from, momentOf(result, result.end, now)];
  if (result.end) return [day, momentOf(result, result.end, now).startOfDay().add({ days: 1 })];
  if (says("hour")) {
    if (fromNow || has(/\b(?:after|from|since|starting)\b/)) return [from, nextDay];
    return has(/\b(?:before|until|till|by)\b/) ? [day, from] : [from, from];
  }
  if (/morning/.test(text)) return [day, day.with({ hour: 12 })];
  if (/afternoon/.test(text)) return [day.with({ hour: 12 }), nextDay];
  if (/evening|night/.test(text)) return [day.with({ hour: 17 }), nextDay];
  if (has(/\b(?:until|till|by)\b/)) return [now, nextDay];
  if (has(/\bbefore\b/)) return [now, day];
  if (has(/\bafter\b/)) return [nextDay, nextDay.add({ days: defaultDays })];
  return [day, has(/\b(?:from|since|starting)\b/) ? day.add({ days: defaultDays }) : nextDay];
}

function weekOf(moment: Moment): Span {
  const monday = moment.startOfDay().subtract({ days: moment.dayOfWeek - 1 });
  return [monday, monday.add({ weeks: 1 })];
}

function monthOf(day: Moment, now: Moment, yearIsCertain: boolean): Span {
  // "in March", said in March, is this one, where chrono goes on to the next.
  const first = (yearIsCertain || day.month !== now.month ? day : now.startOfDay()).with({ day: 1 });
  return [first, first.add({ months: 1 })];
}

function momentOf(result: ParsedResult, parts: ParsedComponents, now: Moment): Moment {
  const get = (part: "year" | "month" | "day" | "hour" | "minute") => parts.get(part) ?? 0;
  const saysZone = parts.isCertain("timezoneOffset") && ![...result.tags()].some((tag) => /relativeDate|\/now/.test(tag));
  if (saysZone) return Temporal.Instant.fromEpochMilliseconds(parts.date().getTime()).toZonedDateTimeISO(now.timeZoneId);
  // "at 3" is in the afternoon: nobody works at 3 in the morning.
  const isAfternoon = parts.isCertain("hour") && !parts.isCertain("meridiem") && get("hour") > 0 && get("hour") < 7;
  const time = { hour: get("hour") + (isAfternoon ? 12 : 0), minute: get("minute") };
  const date = { year: get("year"), month: get("month"), day: get("day") };
  return Temporal.PlainDateTime.from({ ...date, ...time }).toZonedDateTime(now.timeZoneId);
}

function toInterval([start, end]: Span): Interval {
  return { startMs: start.epochMilliseconds, endMs: end.epochMilliseconds };
}

import { Temporal } from "temporal-polyfill";
import { type Calendar, type Interval, isZone, Unanswerable } from "./calendar.ts";
import { readWindows } from "./window.ts";

const maxQuestionLength = 1000;
const defaultMinutes = 30;
const minMinutes = 5;
const maxMinutes = 8 * 60;
const amounts: Readonly<Record<string, number>> = {
  quarter: 0.25,
  half: 0.5,
  "three quarters": 0.75,
  two: 2,
  three: 3,
  four: 4,
};

// Not after "in" or "next": "in 2 hours" says when, not how long.
const durationPattern = new RegExp(
  "(?<!\\b(?:in|within|next|past|last) |[\\p{L}\\p{N}.,])" +
    "(?<amount>\\d+(?:[.,]\\d+)?|(?:three quarters|quarter|half)(?: of)?(?: an?)?|an?|one|two|three|four)" +
    "(?<half> and a half)?[\\s-]*(?<unit>hours?|hrs?|h|minutes?|mins?|m)(?!\\p{L})(?<more> and a half)?",
  "giu",
);
const everyone = /\b(?:everyone|everybody|with all)\b/i;
const nobody = /^(?:everyone|everybody|all|any|anyone|the|a|an|me|us|my|our|you|them|both|team|no|at|in|on|for|@)$/i;

/** What a question asks for. */
export interface Request {
  readonly minutes: number;
  readonly attendees: readonly [Calendar, ...Calendar[]];
  readonly windows: readonly Interval[];
  /** The asker's time zone. */
  readonly zone: string;
}

/**
 * Reads length, people and dates from a question. Metadata `now` (an instant) and `time_zone` stand in for the clock and the
 * first attendee's zone.
 *
 * @throws Unanswerable when a part of the question cannot be read.
 */
export function readRequest(
  question: string,
  metadata: Readonly<Record<string, string>>,
  calendars: readonly Calendar[],
): Request {
  if (question.length > maxQuestionLength) throw new Unanswerable(`Please ask in at most ${maxQuestionLength} characters.`);
  // Without accents, so that "Chloé" finds Chloe.
  const { attendees, rest: unnamed } = readAttendees(plain(question), calendars);
  const zone = metadata["time_zone"] ?? attendees[0].zone;
  if (!isZone(zone)) throw new Unanswerable(`The time_zone "${zone}" is unknown; it should be like Europe/Berlin.`);
  const { minutes, rest: undated } = readMinutes(unnamed);
  const { windows, rest } = readWindows(undated, nowOf(metadata["now"]).toZonedDateTimeISO(zone));
  refuseStrangers(rest, calendars);
  const number = /\S*\d\S*/.exec(rest)?.[0];
  if (number) throw new Unanswerable(`"${number}" is neither a date nor a length; write 2026-03-17, 3pm or 45 minutes.`);
  return { minutes, attendees, windows: windows.map((window) => widened(window, minutes)), zone };
}

function readAttendees(question: string, calendars: readonly Calendar[]) {
  let rest = question;
  const named = calendars.filter(({ name }) => {
    const before = rest;
    const escaped = plain(name).replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
    rest = rest.replace(new RegExp(`(?<![\\p{L}\\p{N}])${escaped}(?![\\p{L}\\p{N}])`, "giu"), "@");
    return rest !== before;
  });
  const others = everyone.test(rest) && /\b(?:except|but|without|not)\b[^.?!]*@/i.test(rest);
  const chosen = others ? calendars.filter((calendar) => !named.includes(calendar)) : everyone.test(rest) ? [] : named;
  const [first, ...more] = chosen.length > 0 ? chosen : calendars;
  if (first === undefined) throw new Unanswerable("There are no calendars to look into.");
  return { attendees: [first, ...more] as const, rest }; // a tuple, so that nobody has to ask whether there is a first
}

function readMinutes(question: string) {
  let minutes = 0;
  let found = false;
  const rest = question.replace(/(\d)h(\d\d)m?(?!\w)/gi, "$1h $2m").replace(durationPattern, (...match) => {
    const { amount = "", unit = "", half, more }: Record<string, string> = match.at(-1);
    const word = amount.toLowerCase().replace(/(?: of)?(?: an?)$| of$/, "");
    const number = amounts[word] ?? (/\d/.test(word) ? Number(word.replace(",", ".")) : 1);
    minutes += (number + (half || more ? 0.5 : 0)) * (/^h/i.test(unit) ? 60 : 1);
    found = true;
    return "";
  });
  if (!found) minutes = defaultMinutes;
  if (minutes < minMinutes || minutes > maxMinutes) {
    throw new Unanswerable(`A meeting takes ${minMinutes} minutes to ${maxMinutes / 60} hours, not ${minutes} minutes.`);
  }
  return { minutes: Math.ceil(minutes), rest };
}

/** A name after "with" that no calendar has; names that are known read `@` by now. */
function refuseStrangers(rest: string, calendars: readonly Calendar[]): void {
  for (const [, people = ""] of rest.matchAll(/\bwith\s+([^.?!;:]*)/gi)) {
    for (const [index, piece] of people.split(/,|&|\band\b|\bor\b/i).entries()) {
      const words: readonly string[] = piece.match(/@|[\p{L}\p{N}'-]+/gu) ?? [];
      const word = words[0];
      if (word === undefined || words.includes("@") || nobody.test(word)) continue;
      if (index > 0 && words.length > 1 && !/^\p{Lu}/u.test(word)) continue;
      const names = new Intl.ListFormat("en-GB").format(calendars.map(({ name }) => name));
      throw new Unanswerable(`There is no calendar for ${word}; there are calendars for ${names}.`);
    }
  }
}

/** A point in time ("at 3pm") becomes a window that the meeting just fits. */
function widened({ startMs, endMs }: Interval, minutes: number): Interval {
  return { startMs, endMs: startMs === endMs ? startMs + minutes * 60_000 : endMs };
}

function nowOf(text: string | undefined): Temporal.Instant {
  try {
    return text === undefined ? Temporal.Now.instant() : Temporal.Instant.from(text);
  } catch (cause) {
    throw new Unanswerable(`The now "${text}" is not an instant; it should be like 2026-03-11T09:00:00Z.`, { cause });
  }
}

function plain(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "");
}

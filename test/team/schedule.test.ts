import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import schedule from "../../examples/team/schedule.ts";
import { ask, citationsOf, textOf } from "../support/ask.ts";

const fixtures = join(import.meta.dirname, "calendars");
const wednesday = { now: "2026-03-11T10:00:00Z" };
const minuteMs = 60_000;
const gridMs = 15 * minuteMs;

beforeEach(() => {
  process.env["CONVOKE_CALENDARS"] = fixtures;
});
afterAll(() => {
  delete process.env["CONVOKE_CALENDARS"];
});

describe("the slots are those of a minute-by-minute scan", () => {
  const weeks = [
    ["2026-03-02", "2026-03-06", "winter on both sides of the Atlantic"],
    ["2026-03-09", "2026-03-13", "summer time in New York alone"],
    ["2026-03-30", "2026-04-03", "summer on both sides"],
    ["2026-10-26", "2026-10-30", "winter in Berlin alone"],
  ] as const; // pairs of dates, not lists of strings
  const meetings = [
    [["Ana", "Ben"], 30],
    [["Ana", "Ben"], 20],
    [["Ana", "Dev"], 60],
    [["Ben"], 50],
    [["Ana"], 105],
  ] as const; // names of `people`, not any strings

  for (const [monday, friday, when] of weeks) {
    test.each(meetings)(`${when}: %j for %i minutes`, async (names, minutes) => {
      const question = `${minutes} minutes with ${names.join(" and ")} between ${monday} and ${friday}`;
      const expected = scan(names, monday, minutes);
      let now = `${monday}T00:00:00Z`;
      for (let from = 0; from < expected.length; from += 5) {
        const page = expected.slice(from, from + 5);
        expect(linesOf(await ask(schedule, question, { now }))).toEqual(page.map((startMs) => line(names, startMs, minutes)));
        now = new Date((page.at(-1) ?? 0) + minutes * minuteMs).toISOString();
      }
      expect(linesOf(await ask(schedule, question, { now }))).toEqual([]);
      expect(expected.length).toBeGreaterThan(2);
    });
  }
});

describe("an answer", () => {
  test("says what was understood, then gives at most five slots, each in a piece of its own", async () => {
    const events = await ask(schedule, "30 minutes with Ben tomorrow", wednesday);
    const pieces = events.flatMap((event) => (event.case === "text" ? [event.value] : []));
    expect(pieces[0]).toBe("30 minutes with Ben, Thu 12 Mar 2026 (America/New_York):\n");
    expect(pieces.slice(1)).toEqual([
      "- Ben Thu 12 Mar 09:00–09:30 (America/New_York)\n",
      "- Ben Thu 12 Mar 10:00–10:30 (America/New_York)\n",
      "- Ben Thu 12 Mar 10:30–11:00 (America/New_York)\n",
      "- Ben Thu 12 Mar 11:00–11:30 (America/New_York)\n",
      "- Ben Thu 12 Mar 11:30–12:00 (America/New_York)\n",
    ]);
  });

  test("says when everything is taken", async () => {
    expect(textOf(await ask(schedule, "30 minutes with Ana on 2026-03-13", wednesday))).toContain("No slot is free");
  });

  test("says when people never work at the same time", async () => {
    expect(textOf(await ask(schedule, "with Ben and Dev next week", wednesday))).toContain(
      "There are no shared working hours.",
    );
  });

  test("offers a time that was asked for as it was asked for, and nothing else", async () => {
    const lines = linesOf(await ask(schedule, "20 minutes with Ana tomorrow at 3:10pm", wednesday));
    expect(lines).toEqual(["- Ana Thu 12 Mar 15:10–15:30 (Europe/Berlin)"]);
  });

  test("works at any date with the calendars of the example", async () => {
    delete process.env["CONVOKE_CALENDARS"];
    for (const now of ["2025-06-02T06:00:00Z", "2026-11-23T06:00:00Z", "2029-03-12T06:00:00Z", "2034-10-30T06:00:00Z"]) {
      expect(linesOf(await ask(schedule, "Free slots for everyone this week", { now }))).toHaveLength(5);
    }
    expect(textOf(await ask(schedule, "half an hour with Ana and Ben next week"))).toContain("30 minutes with Ana and Ben");
  });
});

describe("the citations", () => {
  async function sourcesOf(question: string, now = wednesday.now) {
    const citations = citationsOf(await ask(schedule, question, { now }));
    return Promise.all(
      citations.map(async ({ uri, title, quote, range }) => {
        const lines = (await readFile(join(fixtures, "..", uri), "utf8"))
          .split("\n")
          .slice((range?.start ?? 0) - 1, range?.end);
        expect(lines[0]).toBe("BEGIN:VEVENT");
        expect(lines.at(-1)).toBe("END:VEVENT");
        expect(lines.join("\n")).toContain(quote);
        return `${uri} ${title}: ${quote.split("\n")[0]}`;
      }),
    );
  }

  test("name each event that was in the way, once, with its time as the file has it", async () => {
    expect(await sourcesOf("an hour with Ana and Ben between 2026-03-16 and 2026-03-20")).toEqual([
      "calendars/ana.ics Review: DTSTART;TZID=Europe/Berlin:20260105T150000",
      "calendars/ben.ics Stand-up: DTSTART;TZID=America/New_York:20260105T093000",
      "calendars/ben.ics Call with Berlin: DTSTART;TZID=Europe/Berlin:20260106T163000",
    ]);
  });

  test("leave out what comes after the last slot offered", async () => {
    expect(await sourcesOf("with Ana next Monday")).toEqual([]);
  });

  test("point at the changed occurrence where one was moved", async () => {
    expect(await sourcesOf("4 hours with Ana on 2026-03-31 after 1pm")).toEqual([
      "calendars/ana.ics Review (moved to Tuesday): DTSTART;TZID=Europe/Berlin:20260331T161500",
    ]);
  });

  test("keep the title of a private event to themselves", async () => {
    expect(await sourcesOf("8 hours with Ben on 2026-04-01")).toContain("calendars/ben.ics Private: DTSTART:20260401T133000Z");
  });

  test("name the all-day event that takes the day", async () => {
    expect(await sourcesOf("with Ana on Friday")).toEqual(["calendars/ana.ics Day off: DTSTART;VALUE=DATE:20260313"]);
  });
});

describe("a question is understood", () => {
  const headings = [
    ["with Ana", "30 minutes with Ana, Wed 11 Mar 2026 to Wed 18 Mar 2026 (Europe/Berlin):"],
    ["", "30 minutes with Ana, Ben and Dev, Wed 11 Mar 2026 to Wed 18 Mar 2026 (Europe/Berlin):"],
    ["everyone tomorrow", "30 minutes with Ana, Ben and Dev, Thu 12 Mar 2026 (Europe/Berlin):"],
    ["everyone except Ana tomorrow", "30 minutes with Ben and Dev, Thu 12 Mar 2026 (America/New_York):"],
    ["BEN and ána's next meeting, tomorrow", "30 minutes with Ana and Ben, Thu 12 Mar 2026 (Europe/Berlin):"],
    ["half an hour with Ana today", "30 minutes with Ana, Wed 11 Mar 2026 (Europe/Berlin):"],
    ["an hour with Ana today", "60 minutes with Ana, Wed 11 Mar 2026 (Europe/Berlin):"],
    ["an hour and a half with Ana today", "90 minutes with Ana, Wed 11 Mar 2026 (Europe/Berlin):"],
    ["two and a half hours with Ana today", "150 minutes with Ana, Wed 11 Mar 2026 (Europe/Berlin):"],
    ["1.5 hours with Ana today", "90 minutes with Ana, Wed 11 Mar 2026 (Europe/Berlin):"],
    ["1 hour 15 minutes with Ana today", "75 minutes with Ana, Wed 11 Mar 2026 (Europe/Berlin):"],
    ["1h30 with Ana today", "90 minutes with Ana, Wed 11 Mar 2026 (Europe/Berlin):"],
    ["a 45-minute call with Ana today", "45 minutes with Ana, Wed 11 Mar 2026 (Europe/Berlin):"],
    ["three quarters of an hour with Ana today", "45 minutes with Ana, Wed 11 Mar 2026 (Europe/Berlin):"],
    ["Ana on Wednesday", "30 minutes with Ana, Wed 11 Mar 2026 (Europe/Berlin):"],
    ["Ana next Tuesday", "30 minutes with Ana, Tue 17 Mar 2026 (Europe/Berlin):"],
    ["Ana on Tuesday next week", "30 minutes with Ana, Tue 17 Mar 2026 (Europe/Berlin):"],
    ["Ana next week on Tuesday", "30 minutes with Ana, Tue 17 Mar 2026 (Europe/Berlin):"],
    ["Ana this week", "30 minutes with Ana, Wed 11 Mar 2026 to Sun 15 Mar 2026 (Europe/Berlin):"],
    ["Ana next week", "30 minutes with Ana, Mon 16 Mar 2026 to Sun 22 Mar 2026 (Europe/Berlin):"],
    ["Ana in the week of March 25", "30 minutes with Ana, Mon 23 Mar 2026 to Sun 29 Mar 2026 (Europe/Berlin):"],
    ["Ana by Friday", "30 minutes with Ana, Wed 11 Mar 2026 to Fri 13 Mar 2026 (Europe/Berlin):"],
    ["Ana from Monday to Wednesday", "30 minutes with Ana, Mon 16 Mar 2026 to Wed 18 Mar 2026 (Europe/Berlin):"],
    ["Ana within the next 3 days", "30 minutes with Ana, Wed 11 Mar 2026 to Sat 14 Mar 2026 (Europe/Berlin):"],
    ["Ana in March", "30 minutes with Ana, Wed 11 Mar 2026 to Tue 31 Mar 2026 (Europe/Berlin):"],
    ["Ana next month", "30 minutes with Ana, Wed 1 Apr 2026 to Thu 30 Apr 2026 (Europe/Berlin):"],
    ["Ana between March 20 and August 1", "30 minutes with Ana, Fri 20 Mar 2026 to Sun 19 Apr 2026 (Europe/Berlin):"],
  ];

  test.each(headings)("%s", async (question, heading) => {
    expect(textOf(await ask(schedule, question, wednesday)).split("\n")[0]).toBe(heading);
  });

  const times = [
    ["2 hours with Ana on Tuesday after 2pm", "- Ana Tue 17 Mar 14:00–16:00 (Europe/Berlin)"],
    ["2 hours with Ana on Tuesday before 11am", "- Ana Tue 17 Mar 09:00–11:00 (Europe/Berlin)"],
    ["2 hours with Ana on Tuesday between 10 and 12", "- Ana Tue 17 Mar 10:00–12:00 (Europe/Berlin)"],
    ["3 hours with Ana on Tuesday morning", "- Ana Tue 17 Mar 09:00–12:00 (Europe/Berlin)"],
    ["5 hours with Ana on Tuesday afternoon", "- Ana Tue 17 Mar 12:00–17:00 (Europe/Berlin)"],
    ["Ana at 3 on Tuesday", "- Ana Tue 17 Mar 15:00–15:30 (Europe/Berlin)"],
    ["Ana on Tuesday at 10am EST", "- Ana Tue 17 Mar 16:00–16:30 (Europe/Berlin)"],
    ["4 hours with Ana in 2 hours", "- Ana Wed 11 Mar 13:00–17:00 (Europe/Berlin)"],
  ];

  test.each(times)("%s", async (question, only) => {
    expect(linesOf(await ask(schedule, question, wednesday))).toEqual([only]);
  });

  test("in the asker's time zone, where tomorrow may be another day", async () => {
    const evening = "2026-03-11T20:30:00Z";
    const dayIn = async (zone: string) =>
      textOf(await ask(schedule, "with Ana tomorrow", { now: evening, time_zone: zone })).split("\n")[0];
    expect(await dayIn("America/New_York")).toBe("30 minutes with Ana, Thu 12 Mar 2026 (America/New_York):");
    expect(await dayIn("Asia/Kolkata")).toBe("30 minutes with Ana, Fri 13 Mar 2026 (Asia/Kolkata):");
  });
});

describe("what cannot be answered is said in one sentence", () => {
  const refusals = [
    ["30 minutes with Zed tomorrow", /^There is no calendar for Zed; there are calendars for Ana, Ben and Dev\.$/],
    ["30 minutes with Ana and zed tomorrow", /^There is no calendar for zed;/],
    ["10 hours with Ana", /^A meeting takes 5 minutes to 8 hours, not 600 minutes\.$/],
    ["0 minutes with Ana", /not 0 minutes\.$/],
    ["with Ana on 2026-02-30", /^"2026-02-30" is neither a date nor a length; write/],
    ["with Ana yesterday", /^That time is over;/],
    ["with Ana before today", /^That time is over;/],
    ["with Ana today at 9am", /^That time is over;/],
    ["with Ana in 20 years", /^That is more than a year away;/],
  ] as const; // a question and a pattern, not a list of either

  test.each(refusals)("%s", async (question, sentence) => {
    const events = await ask(schedule, question, wednesday);
    expect(textOf(events)).toMatch(sentence);
    expect(events).toHaveLength(1);
  });

  test("a question without end", async () => {
    expect(textOf(await ask(schedule, "with Ana ".repeat(200)))).toBe("Please ask in at most 1000 characters.");
  });

  test("metadata that is no instant or no zone", async () => {
    expect(textOf(await ask(schedule, "with Ana", { now: "noon" }))).toMatch(/^The now "noon" is not an instant;/);
    expect(textOf(await ask(schedule, "with Ana", { time_zone: "Mars" }))).toMatch(/^The time_zone "Mars" is unknown;/);
  });
});

describe("a calendar folder", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "calendars-"));
    process.env["CONVOKE_CALENDARS"] = folder;
  });
  afterEach(() => rm(folder, { recursive: true }));

  const calendar = (zone: string, ...event: string[]) => [
    "BEGIN:VCALENDAR",
    "VERSION:2.0",
    `X-WR-TIMEZONE:${zone}`,
    "BEGIN:VEVENT",
    "UID:1",
    ...event,
    "END:VEVENT",
    "END:VCALENDAR",
    "",
  ];

  test("without calendars", async () => {
    expect(textOf(await ask(schedule, "with Ana"))).toBe(
      "There are no calendars: set CONVOKE_CALENDARS to a folder with .ics files.",
    );
  });

  const broken = [
    ["another kind of text", ["Dear diary,"], / is not an iCalendar file;/],
    ["an unknown zone", calendar("Mars/Base", "DTSTART:20260312T100000Z"), / has X-WR-TIMEZONE Mars\/Base; it should be/],
    ["an unknown rule", calendar("UTC", "DTSTART:20260312T100000Z", "RRULE:FREQ=NEVER"), / cannot be read .* Invalid FREQ/],
    ["too many events", calendar("UTC", "DTSTART:20260312T100000Z", "RRULE:FREQ=SECONDLY"), / cannot be read .* Maximum/],
  ] as const; // a name, lines and a pattern, not a list of any of them

  test.each(broken)("with a file of %s", async (_, lines, sentence) => {
    await writeFile(join(folder, "eve.ics"), lines.join("\n"));
    expect(textOf(await ask(schedule, "8 hours with Eve tomorrow", wednesday))).toMatch(sentence);
  });

  test("with CRLF lines, no name and times without a zone, which are in the calendar's", async () => {
    const event = ["DTSTART:20260312T090000", "DTEND:20260312T163000", "SUMMARY;LANGUAGE=en:Workshop"];
    await writeFile(join(folder, "eve.ics"), calendar("Asia/Tokyo", ...event).join("\r\n"));
    const events = await ask(schedule, "30 minutes with Eve tomorrow", wednesday);
    expect(linesOf(events)).toEqual(["- eve Thu 12 Mar 16:30–17:00 (Asia/Tokyo)"]);
    expect(citationsOf(events)[0]).toMatchObject({ title: "Workshop", quote: event.slice(0, 2).join("\r\n") });
  });
});

// The scan: working hours and events of the fixture calendars, written down by hand, on the clock that Intl shows.

interface Person {
  readonly zone: string;
  readonly busy: (timeMs: number, local: Clock) => boolean;
}

interface Clock {
  readonly date: string;
  readonly time: string;
  readonly weekday: string;
}

const people: Readonly<Record<"Ana" | "Ben" | "Dev", Person>> = {
  Ana: {
    zone: "Europe/Berlin",
    busy: (_, { date, time, weekday }) =>
      date === "2026-03-13" ||
      (date === "2026-03-31" && time >= "16:15" && time < "17:00") ||
      (["Mon", "Wed"].includes(weekday) && time >= "15:00" && time < "16:00" && !["2026-03-11", "2026-03-30"].includes(date)),
  },
  Ben: {
    zone: "America/New_York",
    busy: (timeMs, { time }) => {
      const berlin = clockOf(timeMs, "Europe/Berlin");
      const utc = new Date(timeMs).toISOString();
      return (
        (time >= "09:30" && time < "09:50") ||
        (berlin.weekday === "Tue" && berlin.time >= "16:30" && berlin.time < "17:00") ||
        (utc >= "2026-04-01T13:30" && utc < "2026-04-01T14:15")
      );
    },
  },
  Dev: {
    zone: "Asia/Kolkata",
    busy: (_, { time, weekday }) => ["Mon", "Tue", "Fri"].includes(weekday) && time >= "14:10" && time < "15:20",
  },
};

/** The starts of all slots in the week of `monday`, each the earliest quarter hour at which all its minutes are free. */
function scan(names: readonly (keyof typeof people)[], monday: string, minutes: number): number[] {
  const mondayMs = Date.parse(monday);
  const isFree = (timeMs: number) =>
    names.every((name) => {
      const local = clockOf(timeMs, people[name].zone);
      const works = !["Sat", "Sun"].includes(local.weekday) && local.time >= "09:00" && local.time < "17:00";
      return works && !people[name].busy(timeMs, local);
    });
  const starts: number[] = [];
  for (let timeMs = mondayMs; timeMs < mondayMs + 6 * 24 * 60 * minuteMs; ) {
    const isSlot = Array.from({ length: minutes }, (_, minute) => timeMs + minute * minuteMs).every(isFree);
    if (isSlot) starts.push(timeMs);
    timeMs = isSlot ? Math.ceil((timeMs + minutes * minuteMs) / gridMs) * gridMs : timeMs + gridMs;
  }
  return starts;
}

function line(names: readonly (keyof typeof people)[], startMs: number, minutes: number): string {
  const times = names.map((name) => {
    const { zone } = people[name];
    const { date, time, weekday } = clockOf(startMs, zone);
    const month = { "03": "Mar", "04": "Apr", "10": "Oct" }[date.slice(5, 7)];
    const end = clockOf(startMs + minutes * minuteMs, zone).time;
    return `${name} ${weekday} ${Number(date.slice(8))} ${month} ${time}–${end} (${zone})`;
  });
  return `- ${times.join(", ")}`;
}

const clocks = new Map<string, Intl.DateTimeFormat>();

function clockOf(timeMs: number, zone: string): Clock {
  const options = { timeZone: zone, dateStyle: "short", timeStyle: "short" } as const; // the words, not strings
  const format = clocks.get(zone) ?? new Intl.DateTimeFormat("sv-SE", options);
  clocks.set(zone, format);
  const [date = "", time = ""] = format.format(timeMs).split(" ");
  return { date, time, weekday: ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"][new Date(date).getUTCDay()] ?? "" };
}

function linesOf(events: Parameters<typeof textOf>[0]): string[] {
  return textOf(events)
    .split("\n")
    .filter((text) => text.startsWith("- "));
}

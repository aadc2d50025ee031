import { defineTool } from "convoke";
import { z } from "zod";

/** When people have something on Tuesday, in minutes since midnight. */
const busy: Readonly<Record<string, readonly (readonly [start: number, end: number])[]>> = {
  ana: [
    [9 * 60, 12 * 60 + 30],
    [13 * 60, 14 * 60 + 15],
  ],
  ben: [
    [8 * 60, 10 * 60],
    [12 * 60 + 30, 14 * 60 + 30],
    [16 * 60, 18 * 60],
  ],
};
const [opens, closes, step] = [9 * 60, 18 * 60, 15];

/** What a specialist can look up, with or without a model. */
export const freeSlots = defineTool({
  name: "free_slots",
  description: "When all of these people are free on Tuesday.",
  input: z.object({ people: z.array(z.enum(["ana", "ben"])).min(1), minutes: z.int().min(15).max(480) }),
  run({ people, minutes }) {
    const meetings = people.flatMap((person) => busy[person] ?? []);
    const slots: string[] = [];
    for (let start = opens; start + minutes <= closes; start += step) {
      const isFree = meetings.every(([from, to]) => start >= to || start + minutes <= from);
      if (isFree) slots.push(`Tuesday, ${clock(start)} to ${clock(start + minutes)}`);
    }
    return { calendars: people.map((person) => `${person}.ics`), slots };
  },
});

export const rooms = defineTool({
  name: "rooms",
  description: "A room that is free then, for so many people.",
  input: z.object({ slot: z.string(), people: z.int().min(1) }),
  run: ({ slot, people }) => ({ room: people <= 4 ? "The small room on the second floor is free" : "The hall is free", slot }),
});

function clock(minutes: number): string {
  return `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;
}

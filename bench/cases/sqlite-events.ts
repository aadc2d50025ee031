import type { BenchCase } from "../case.ts";
import { keptStreams, paces, sqlitePlace, storeAlone } from "../kept-streams.ts";

export const cases: readonly BenchCase[] = [
  {
    name: "sqlite-events",
    title: "Server: events of tasks that are kept in SQLite, on the disk before they are delivered, over 100 streams",
    unit: "events/s",
    better: "higher",
    ours: "sqlite",
    parts: paces,
    figures: { "sqlite-events-flood": 100_000, "sqlite-events-bursts": 100_000 },
    subjects: [keptStreams("sqlite", sqlitePlace), keptStreams("no-store", async () => undefined)],
  },
  {
    name: "sqlite-store",
    title: "Store: entries that SQLite takes, 100 logs with an append of 8 entries each at once",
    unit: "entries/s",
    better: "higher",
    ours: "sqlite",
    figures: { "sqlite-store": 100_000 },
    subjects: [storeAlone("sqlite", sqlitePlace, 1)],
  },
];

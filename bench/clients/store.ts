import { createNatsStore, createSqliteStore, type Store } from "convoke";
import { type CommitsReply, watchCommits } from "../commits.ts";
import { answerLines } from "../lines.ts";
import { type Done, repeat } from "./client.ts";

/** Logs that are appended to at once, the appends of each one behind another. */
export interface StoreJob {
  readonly logs: number;
  /** Appends of a log that wait at once. */
  readonly inFlight: number;
  /** Entries of an append. */
  readonly entries: number;
  readonly durationMs: number;
}

/** As many bytes as a token's. */
const entry = Buffer.alloc(16, "token ");

const place = process.argv[2] ?? "";
const opened: Store = place.startsWith("nats://")
  ? await createNatsStore({ servers: place })
  : await createSqliteStore({ path: place });
const { store, takeCommits } = watchCommits(opened);
let round = 0;

answerLines({}, async (job: StoreJob): Promise<Done & CommitsReply> => {
  const names = Array.from({ length: job.logs }, (_, log) => `${process.pid}/${round}/${log}`);
  round++;
  takeCommits();
  const done = await Promise.all(names.map((name) => fill(name, job)));
  const count = done.reduce((sum, each) => sum + each.count, 0);
  return { count, elapsedMs: Math.max(...done.map(({ elapsedMs }) => elapsedMs)), ...takeCommits() };
});

/** Appends to a log as a task does, which knows how long its log is. */
function fill(name: string, job: StoreJob): Promise<Done> {
  const entries = Array.from({ length: job.entries }, () => entry);
  let length = 0;
  return repeat(job, job.inFlight, async () => {
    const expectedLength = length;
    length += entries.length;
    await store.append(name, entries, { expectedLength });
    return entries.length;
  });
}

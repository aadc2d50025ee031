import { setTimeout as delay } from "node:timers/promises";
import { createNatsStore, createSqliteStore, defineAgent, type Store, serve } from "convoke";
import { watchCommits } from "../commits.ts";
import { chunksAskedFor } from "../messages.ts";
import { runServer } from "./server.ts";

/** Pieces of text that a model's connection brings at once, and how often at most: a hundred such agents yield up to 260,000 in a second. */
const piecesPerBurst = 8;
const burstEveryMs = 3;

/** Yields as fast as it may. */
const flood = defineAgent({
  name: "flood",
  async *run({ metadata }) {
    for (let left = chunksAskedFor(metadata) - 1; left > 0; left--) yield " Tuesday"; // the last chunk tells of the end
  },
});

/** Yields as models do: a few pieces whenever their connection has brought some. */
const bursts = defineAgent({
  name: "bursts",
  async *run({ metadata }) {
    for (let left = chunksAskedFor(metadata) - 1; left > 0; left--) {
      yield " Tuesday";
      if (left % piecesPerBurst === 0) await delay(burstEveryMs);
    }
  },
});

/** Where tasks are kept: `--sqlite FILE`, `--nats SERVER`, or nowhere. */
function openStore(): Promise<Store> | undefined {
  const [kind, place = ""] = process.argv.slice(2);
  if (kind === "--sqlite") return createSqliteStore({ path: place });
  return kind === "--nats" ? createNatsStore({ servers: place }) : undefined;
}

const opened = await openStore();
const watched = opened && watchCommits(opened);

await runServer(async () => {
  const store = watched && { store: watched.store };
  const { port } = await serve({ agents: [flood, bursts], port: 0, signals: false, log: { level: "warn" }, ...store });
  return port;
}, watched?.takeCommits);

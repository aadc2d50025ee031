import { startNats } from "../../test/support/nats-cluster.ts";
import type { BenchCase, Context } from "../case.ts";
import { keptStreams, type Place, paces, storeAlone } from "../kept-streams.ts";
import { natsServer, natsServerPath } from "../tools.ts";

/** Three servers of NATS on loopback, each of which has an entry on its disk before it says so. */
async function natsPlace({ afterwards }: Context): Promise<Place> {
  const cluster = await startNats(natsServerPath());
  afterwards(() => cluster.stop());
  process.once("exit", () => void cluster.stop()); // of a run that is given up: these servers do not heed their standard input
  const address = `nats://${cluster.servers[0]}`;
  return { args: ["--nats", address], address };
}

export const cases: readonly BenchCase[] = [
  {
    name: "nats-events",
    title:
      "Server: events of tasks that are kept by three NATS servers, on the disks of two before they are delivered, over 100 streams",
    unit: "events/s",
    better: "higher",
    ours: "nats",
    parts: paces,
    figures: { "nats-events-flood": 20_000, "nats-events-bursts": 20_000 },
    needs: [natsServer],
    subjects: [keptStreams("nats", natsPlace)],
  },
  {
    name: "nats-store",
    title: "Store: entries that three NATS servers take, 100 logs with 8 appends of 8 entries at once",
    unit: "entries/s",
    better: "higher",
    ours: "nats",
    figures: { "nats-store": 20_000 },
    needs: [natsServer],
    subjects: [storeAlone("nats", natsPlace, 8)],
  },
];

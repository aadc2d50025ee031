/**
 * One replica, as a process: an agent that answers with the process's name after some milliseconds, or fails.
 *
 * Usage: replica.ts NAME PORT DELAY_MS, started with an IPC channel: it says `{ port }`, and takes {@link Order}s.
 */
import { Code, ConnectError, defineAgent, serve } from "../../src/index.ts";

/** What a replica can be told. It answers `count` with `{ count }`, and ends after `drain`. */
export type Order = { readonly order: "count" | "drain" } | { readonly order: "fail"; readonly failing: boolean };

const [name = "replica", port = "0", delay = "0"] = process.argv.slice(2);
let count = 0;
let failing = false;

const agent = defineAgent({
  name: "replica",
  async *run() {
    count++;
    if (failing) throw new ConnectError("this replica fails at once", Code.Unavailable);
    if (Number(delay) > 0) await new Promise((resolve) => setTimeout(resolve, Number(delay)));
    yield name;
  },
});

const server = await serve({ agents: [agent], port: Number(port), signals: false, log: { level: "silent" } });

process.on("message", async (order: Order) => {
  if (order.order === "fail") failing = order.failing;
  else if (order.order === "count") process.send?.({ count });
  else {
    await server.close();
    process.exit();
  }
});
process.on("disconnect", () => process.exit()); // nobody needs it any more
process.send?.({ port: server.port });

/**
 * One replica, as a process: an agent that answers with the process's name after some milliseconds, or fails.
 *
 * Usage: replica.ts NAME OPTIONS, which are `ReplicaOptions` as JSON, started with an IPC channel: it says {@link Listening}, and
 * takes {@link Order}s. SIGTERM drains it.
 */
import { Code, ConnectError, defineAgent, serve } from "../../src/index.ts";
import type { ReplicaOptions } from "./replicas.ts";

/** What a replica can be told. It answers `count` with `{ count }`. */
export type Order = { readonly order: "count" } | { readonly order: "fail"; readonly failing: boolean };

/** What a replica says first. */
export interface Listening {
  readonly port: number;
  /** When it began to listen, and to register, by `Date.now`. */
  readonly sinceMs: number;
}

const [name = "replica", options = "{}"] = process.argv.slice(2);
const { port = 0, delayMs = 0, register }: ReplicaOptions = JSON.parse(options);
let count = 0;
let failing = false;

const agent = defineAgent({
  name: "replica",
  async *run() {
    count++;
    if (failing) throw new ConnectError("this replica fails at once", Code.Unavailable);
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    yield name;
  },
});

const server = await serve({ agents: [agent], port, log: { level: "silent" }, ...(register && { register }) });

const sinceMs = Date.now();

process.on("message", (order: Order) => {
  if (order.order === "fail") failing = order.failing;
  else process.send?.({ count });
});
process.on("disconnect", () => process.exit()); // nobody needs it any more
process.send?.({ port: server.port, sinceMs } satisfies Listening);

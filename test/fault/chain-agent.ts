/**
 * One agent of a chain, as a process: it asks the next one, or is the last one and works until it is stopped.
 *
 * Usage: chain-agent.ts NAME NEXT REGISTRY, started with an IPC channel: it says `{ url }`. The last one answers what it is told with
 * `{ stoppedUs }` when it has been stopped next.
 */
import { defineAgent, serve } from "../../src/index.ts";
import { monotonicUs } from "./monotonic.ts";

const [name = "", next = "", registry = ""] = process.argv.slice(2);
let stopped = (_atUs: number) => {};

const agent = defineAgent({
  name,
  capabilities: [name],
  async *run(task, { agents, signal }) {
    if (next !== "") {
      yield* agents.capability(next).stream(task.content);
      return;
    }
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => {
        stopped(monotonicUs());
        resolve();
      });
    });
    yield "at work";
    await aborted;
  },
});

const server = await serve({ agents: [agent], port: 0, register: { registry }, signals: false, log: { level: "silent" } });
process.on("message", () => {
  stopped = (stoppedUs) => process.send?.({ stoppedUs });
});
process.on("disconnect", () => process.exit()); // nobody needs it any more
process.send?.({ url: server.url });

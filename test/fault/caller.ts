/**
 * One client, as a process: by the plain transport or by the balanced one.
 *
 * Usage: caller.ts plain|balanced URL, started with an IPC channel: it says `{ ready: true }`, and answers `{ durationMs }` with the calls
 * a second that it made in that time, `{ callsPerSecond }`.
 */
import { createClient } from "@connectrpc/connect";
import { AgentService } from "../../src/contract/index.ts";
import { createBalancedTransport } from "../../src/index.ts";
import { createTransport } from "../../src/wire/index.ts";

const inFlight = 64;
const taskId = "the-task";

const [kind, url = ""] = process.argv.slice(2);
const transport = kind === "balanced" ? createBalancedTransport({ endpoints: [url] }) : createTransport({ baseUrl: url });
const client = createClient(AgentService, transport);

/** GetTask runs nothing: the shorter the way through the server, the more the client weighs. */
async function measure(durationMs: number): Promise<number> {
  const startMs = performance.now();
  let count = 0;
  const loop = async () => {
    while (performance.now() - startMs < durationMs) {
      await client.getTask({ taskId });
      count++;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, loop));
  return (count * 1_000) / (performance.now() - startMs);
}

await client.processTask({ taskId, content: "who?" });
process.on("message", async ({ durationMs }: { durationMs: number }) => {
  process.send?.({ callsPerSecond: await measure(durationMs) });
});
process.on("disconnect", () => process.exit()); // nobody asks any more
process.send?.({ ready: true });

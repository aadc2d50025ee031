import { createClient, type Transport } from "@connectrpc/connect";
import { AgentService } from "../../src/contract/index.ts";
import { createBalancedTransport } from "../../src/index.ts";
import { createTransport } from "../../src/wire/index.ts";
import type { Fault } from "./fault.ts";

const inFlight = 64;
const roundMs = 700;
const rounds = 9;
const least = 0.9;
const taskId = "the-task";

export const balancingCost: Fault = {
  name: "balancing-cost",
  title: "the balancing transport over one endpoint, beside the plain transport: at least 90 % of its calls/s",
  async run(replicas, say) {
    const { url } = await replicas.start("one");
    const plain = createTransport({ baseUrl: url });
    const balanced = createBalancedTransport({ endpoints: [url] });
    const subjects = [plain, balanced];
    await createClient(AgentService, plain).processTask({ taskId, content: "who?" });
    for (const subject of subjects) await callsPerSecond(subject, 2 * roundMs); // warmed up
    const ratios: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const order = round % 2 === 0 ? subjects : [...subjects].reverse();
      const rates = new Map<Transport, number>();
      for (const subject of order) rates.set(subject, await callsPerSecond(subject, roundMs));
      const [one, other] = [rates.get(plain) ?? 0, rates.get(balanced) ?? 0];
      say(`plain ${Math.round(one)} calls/s, balanced ${Math.round(other)}`);
      ratios.push(other / one);
    }
    for (const subject of [plain, balanced]) subject.close();
    const median = ratios.sort((one, other) => one - other)[Math.floor(rounds / 2)] ?? 0;
    return { met: median >= least, figures: `balanced makes ${(100 * median).toFixed(1)} % of the plain transport's calls/s` };
  },
};

/** GetTask, which runs nothing: the shorter the way through the server, the more the client weighs. */
async function callsPerSecond(transport: Transport, durationMs: number): Promise<number> {
  const client = createClient(AgentService, transport);
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

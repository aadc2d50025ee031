import type { Fault } from "./fault.ts";

const roundMs = 700;
const rounds = 11;
const least = 0.9;

export const balancingCost: Fault = {
  name: "balancing-cost",
  title: "the balancing transport over one endpoint, beside the plain transport: at least 90 % of its calls/s",
  async run({ replicas, say }) {
    const { url } = await replicas.start("one");
    // Each in a process of its own: in one, the code that both share would be compiled for the first that ran.
    const plain = await replicas.startCaller("plain", url);
    const balanced = await replicas.startCaller("balanced", url);
    const callers = [plain, balanced];
    for (const caller of callers) await caller.measure(2 * roundMs); // warmed up
    const ratios: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const rates = new Map<typeof plain, number>();
      for (const caller of round % 2 === 0 ? callers : callers.toReversed()) rates.set(caller, await caller.measure(roundMs));
      const [one, other] = [rates.get(plain) ?? 0, rates.get(balanced) ?? 0];
      say(`plain ${Math.round(one)} calls/s, balanced ${Math.round(other)}`);
      ratios.push(other / one);
    }
    const median = ratios.sort((one, other) => one - other)[Math.floor(rounds / 2)] ?? 0;
    return { met: median >= least, figures: `balanced makes ${(100 * median).toFixed(1)} % of the plain transport's calls/s` };
  },
};

import { z } from "zod";
import { defineAgent, defineTool } from "../../src/index.ts";

/** An agent that pays what it is asked for when it has leave, and what it has paid. */
export function createPayer() {
  const paid: number[] = [];
  const pay = defineTool({
    name: "pay",
    input: z.object({ amount: z.number() }),
    approve: true,
    run: ({ amount }) => `receipt ${paid.push(amount)}`,
  });
  const agent = defineAgent({
    name: "payer",
    async *run(task, ctx) {
      if (task.inputs.length === 0) yield "Shall I? ";
      yield `I have a ${await ctx.tool(pay, { amount: Number(task.content) })}.`;
    },
  });
  return { agent, paid };
}

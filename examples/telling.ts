import type { Agent } from "convoke";

/** The agent, which tells who asks it, and how that was proven. */
export function telling(agent: Agent): Agent {
  return {
    ...agent,
    async *run(task, ctx) {
      process.stdout.write(`is asked by ${ctx.caller.name}, proven by ${ctx.caller.proof}\n`);
      yield* agent.run(task, ctx);
    },
  };
}

import type { Agent, Yield } from "../agent/index.ts";
import { type AgentEvent, internal } from "../core/index.ts";
import type { Place } from "./place.ts";

/**
 * What an agent yields, and what its tools emit meanwhile, in the order in which it happens.
 *
 * @param start starts the agent; nothing runs before the first read.
 * @throws what the agent throws; ConnectError INTERNAL when it yields what is no event.
 */
export async function* mergedEvents(
  start: (emit: Place["emit"]) => AsyncIterable<Yield>,
  { agent, work }: Pick<Place, "agent" | "work">,
): AsyncGenerator<AgentEvent, void, undefined> {
  const emitted: AgentEvent[] = [];
  let wake: (() => void) | undefined;
  const emit = (event: AgentEvent) => {
    emitted.push(event);
    wake?.();
  };
  const items = start(emit)[Symbol.asyncIterator]();
  let isAtWork = false;
  try {
    for (;;) {
      const next = items.next();
      isAtWork = true;
      next.catch(() => {}); // whoever reads on is told; who has left while a tool was at work is not
      let step: IteratorResult<Yield> | undefined;
      while (step === undefined) {
        for (let event = emitted.shift(); event !== undefined; event = emitted.shift()) yield event;
        const emission = new Promise<undefined>((resolve) => {
          wake = () => resolve(undefined);
        });
        step = await Promise.race([next, emission]);
      }
      isAtWork = false;
      yield* emitted.splice(0);
      if (step.done === true) return;
      const event = toEvent(agent, step.value);
      work.meter.count(event);
      yield event;
    }
  } finally {
    const left = items.return?.(); // one that is at work takes it when it is done
    if (!isAtWork) await left;
    else left?.catch(() => {});
  }
}

/** @throws ConnectError INTERNAL for what is no event. */
export function toEvent(agent: Agent, item: Yield): AgentEvent {
  if (typeof item === "string") return { case: "text", value: item };
  if (typeof item === "object" && item !== null && "case" in item && "value" in item) return item;
  const cause = new TypeError(`agent "${agent.name}" yielded ${typeof item}; yield a string or an event such as citation(…)`);
  throw internal(`agent "${agent.name}" failed in an unforeseen way`, { cause });
}

import { setImmediate as nextTick } from "node:timers/promises";
import type { Logger } from "pino";
import { type Agent, type AgentContext, type AgentHandle, cardOf, type Task, type Yield } from "../agent/index.ts";
import { type AgentEvent, childEnvelope, type Envelope, failedPrecondition, internal, notFound } from "../core/index.ts";

/** Events after which an agent that never waits lets the process do something else. */
const eventsPerBreath = 256;

/** What running an agent needs beside the agent. */
export interface RunOptions {
  readonly envelope: Envelope;
  readonly agents: readonly Agent[];
  readonly maxCallDepth: number;
  readonly log: Logger;
}

/**
 * Runs an agent and gives its events, calls to other agents included.
 *
 * @throws what the agent throws; ConnectError INTERNAL when it yields something that is no event.
 */
export async function* runAgent(agent: Agent, task: Task, options: RunOptions): AsyncGenerator<AgentEvent, void, undefined> {
  let count = 0;
  for await (const item of agent.run(task, contextOf(agent, task, options))) {
    yield toEvent(agent, item);
    if (++count % eventsPerBreath === 0) await nextTick();
  }
}

function contextOf(agent: Agent, task: Task, options: RunOptions): AgentContext {
  const { envelope, log } = options;
  const others = options.agents.filter((other) => other !== agent);
  return {
    signal: envelope.signal,
    timeoutMs: () => Math.max(0, envelope.deadlineMs - Date.now()),
    log: log.child({ agent: agent.name, taskId: task.id }),
    agents: {
      cards: others.map(cardOf),
      capability(name) {
        const found = others.find((other) => other.capabilities.includes(name));
        if (found === undefined) throw notFound({ type: "capability", name });
        return handleOf(found, task, { ...options, envelope: childEnvelope(envelope, agent.name) });
      },
    },
  };
}

function handleOf(agent: Agent, parent: Task, options: RunOptions): AgentHandle {
  return {
    card: cardOf(agent),
    stream(content, { metadata = {} } = {}) {
      const { callers } = options.envelope;
      if (callers.length >= options.maxCallDepth) {
        throw failedPrecondition({
          type: "CALL_DEPTH",
          subject: agent.name,
          description: `agents call each other more than ${options.maxCallDepth} deep: ${callers.join(" → ")}`,
        });
      }
      return runAgent(agent, { ...parent, content, metadata }, options);
    },
  };
}

function toEvent(agent: Agent, item: Yield): AgentEvent {
  if (typeof item === "string") return { case: "text", value: item };
  if (typeof item === "object" && item !== null && "case" in item && "value" in item) return item;
  const cause = new TypeError(`agent "${agent.name}" yielded ${typeof item}; yield a string or an event such as citation(…)`);
  throw internal(`agent "${agent.name}" failed in an unforeseen way`, { cause });
}

import { setImmediate as nextTick } from "node:timers/promises";
import type { Logger } from "pino";
import {
  type Agent,
  type AgentContext,
  type AgentDirectory,
  type AgentHandle,
  cardOf,
  type Task,
  type Yield,
} from "../agent/index.ts";
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
 * Runs an agent and hands each of its events to `take`, until that gives false.
 *
 * @throws what the agent throws, or `take`; ConnectError INTERNAL when the agent yields something that is no event.
 */
export async function runAgent(agent: Agent, task: Task, options: RunOptions & { take: Take }): Promise<void> {
  let count = 0;
  for await (const item of agent.run(task, new Context(agent, task, options))) {
    if (!options.take(toEvent(agent, item))) return;
    if (++count % eventsPerBreath === 0) await nextTick();
  }
}

/** Takes an event; false when no more are wanted. */
export type Take = (event: AgentEvent) => boolean;

/** Runs an agent for another one, whose own run takes its breaths. */
async function* eventsOf(agent: Agent, task: Task, options: RunOptions): AsyncGenerator<AgentEvent, void, undefined> {
  for await (const item of agent.run(task, new Context(agent, task, options))) yield toEvent(agent, item);
}

/** What an agent gets. Logger and directory come to be when it asks for them. */
class Context implements AgentContext {
  readonly #agent: Agent;
  readonly #task: Task;
  readonly #options: RunOptions;
  #log: Logger | undefined;
  #agents: AgentDirectory | undefined;

  constructor(agent: Agent, task: Task, options: RunOptions) {
    this.#agent = agent;
    this.#task = task;
    this.#options = options;
    this.timeoutMs = this.timeoutMs.bind(this); // agents take it apart
  }

  get signal(): AbortSignal {
    return this.#options.envelope.signal;
  }

  timeoutMs(): number {
    return Math.max(0, this.#options.envelope.deadlineMs - Date.now());
  }

  get log(): Logger {
    this.#log ??= this.#options.log.child({ agent: this.#agent.name, taskId: this.#task.id });
    return this.#log;
  }

  get agents(): AgentDirectory {
    this.#agents ??= directoryOf(this.#agent, this.#task, this.#options);
    return this.#agents;
  }
}

function directoryOf(agent: Agent, task: Task, options: RunOptions): AgentDirectory {
  const others = options.agents.filter((other) => other !== agent);
  return {
    cards: others.map(cardOf),
    capability(name) {
      const found = others.find((other) => other.capabilities.includes(name));
      if (found === undefined) throw notFound({ type: "capability", name });
      return handleOf(found, task, { ...options, envelope: childEnvelope(options.envelope, agent.name) });
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
      return eventsOf(agent, { ...parent, content, metadata }, options);
    },
  };
}

function toEvent(agent: Agent, item: Yield): AgentEvent {
  if (typeof item === "string") return { case: "text", value: item };
  if (typeof item === "object" && item !== null && "case" in item && "value" in item) return item;
  const cause = new TypeError(`agent "${agent.name}" yielded ${typeof item}; yield a string or an event such as citation(…)`);
  throw internal(`agent "${agent.name}" failed in an unforeseen way`, { cause });
}

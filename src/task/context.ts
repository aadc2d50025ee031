import type { Logger } from "pino";
import type { Agent, AgentContext, AgentDirectory, AgentMemory, Task, TaskCaller, Yield } from "../agent/index.ts";
import { type AgentEvent, type Budget, internal, type TraceContext, traceIdOf } from "../core/index.ts";
import { agentMemory } from "./agent-memory.ts";
import { directoryOf } from "./directory.ts";
import type { Place } from "./place.ts";

/** Runs an agent. */
export function runAgent(place: Place, task: Task): AsyncIterable<Yield> {
  return place.agent.run(task, new Context(place, task));
}

/** Runs an agent for another one of this server, whose own run takes its breaths. */
async function* eventsOf(place: Place, task: Task): AsyncGenerator<AgentEvent, void, undefined> {
  const { meter } = place.work;
  for await (const item of runAgent(place, task)) {
    const event = toEvent(place.agent, item);
    meter.count(event);
    yield event;
  }
}

/** What an agent gets. Most of it comes to be when the agent asks for it. */
class Context implements AgentContext {
  readonly #place: Place;
  readonly #task: Task;
  #caller: TaskCaller | undefined;
  #log: Logger | undefined;
  #agents: AgentDirectory | undefined;
  #memory: AgentMemory | undefined;

  constructor(place: Place, task: Task) {
    this.#place = place;
    this.#task = task;
  }

  get caller(): TaskCaller {
    const { work, hops } = this.#place;
    this.#caller ??= { ...work.identity, chain: hops };
    return this.#caller;
  }

  get signal(): AbortSignal {
    return this.#place.work.signal;
  }

  /** A function that can be taken from its context: agents do. */
  get timeoutMs(): () => number {
    return () => Math.max(0, this.#place.work.deadlineMs - Date.now());
  }

  get budget(): Budget {
    return this.#place.work.meter.left;
  }

  get trace(): TraceContext | undefined {
    return this.#place.work.envelope.trace;
  }

  get log(): Logger {
    this.#log ??= this.#createLog();
    return this.#log;
  }

  get agents(): AgentDirectory {
    this.#agents ??= directoryOf(this.#place, this.#task, eventsOf);
    return this.#agents;
  }

  get memory(): AgentMemory {
    this.#memory ??= agentMemory(this.#place, this.#task.id);
    return this.#memory;
  }

  #createLog(): Logger {
    const { agent, host } = this.#place;
    const { trace } = this;
    return host.log.child({ agent: agent.name, taskId: this.#task.id, ...(trace && { traceId: traceIdOf(trace) }) });
  }
}

/** @throws ConnectError INTERNAL for what is no event. */
export function toEvent(agent: Agent, item: Yield): AgentEvent {
  if (typeof item === "string") return { case: "text", value: item };
  if (typeof item === "object" && item !== null && "case" in item && "value" in item) return item;
  const cause = new TypeError(`agent "${agent.name}" yielded ${typeof item}; yield a string or an event such as citation(…)`);
  throw internal(`agent "${agent.name}" failed in an unforeseen way`, { cause });
}

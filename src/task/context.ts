import type { Logger } from "pino";
import {
  type AgentContext,
  type AgentDirectory,
  type AgentMemory,
  handOff,
  type Task,
  type TaskCaller,
  type Yield,
} from "../agent/index.ts";
import { type AgentEvent, type Budget, type TraceContext, traceIdOf } from "../core/index.ts";
import { agentMemory } from "./agent-memory.ts";
import { directoryOf, hasOther } from "./directory.ts";
import { guardedRun } from "./guarded-run.ts";
import { mergedEvents } from "./merged-events.ts";
import { OwnTools } from "./own-tools.ts";
import type { Place } from "./place.ts";

/** Runs a task's agent, or the one that it has handed the task's conversation to. */
export function runAgent(place: Place, task: Task): AsyncIterable<Yield> {
  const last = task.conversation?.turns.at(-1);
  const isHandedOn = last?.handedTo !== undefined && last.agent === place.agent.name;
  return guarded(place, task, isHandedOn ? goOn : begin);
}

/** Runs an agent for another one of this server, whose own run takes its breaths. */
function eventsOf(place: Place, task: Task): AsyncIterable<AgentEvent> {
  return mergedEvents((emit) => guarded({ ...place, emit }, task, begin), place);
}

type Run = (place: Place, task: Task) => AsyncIterable<Yield>;

function guarded(place: Place, task: Task, run: Run): AsyncIterable<Yield> {
  if (!place.agent.guardrails?.length) return run(place, task);
  const events = mergedEvents((emit) => run({ ...place, emit }, task), place);
  return guardedRun(place, task, events);
}

const begin: Run = (place, task) => place.agent.run(task, new Context(place, task));

const goOn: Run = async function* (place, task) {
  const { handedTo = "" } = task.conversation?.turns.at(-1) ?? {};
  if (!(await hasOther(place, handedTo))) return yield* begin(place, task);
  const { agents } = new Context(place, task);
  yield* handOff(agents.capability(handedTo), task.content, { metadata: { ...task.metadata } });
};

/** What an agent gets. Most of it comes to be when the agent asks for it. */
class Context implements AgentContext {
  readonly #place: Place;
  readonly #task: Task;
  #caller: TaskCaller | undefined;
  #log: Logger | undefined;
  #agents: AgentDirectory | undefined;
  #memory: AgentMemory | undefined;
  #tools: OwnTools | undefined;

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

  get tool(): AgentContext["tool"] {
    const tools = this.#own;
    return (tool, input) => tools.run(tool, input);
  }

  get cite(): AgentContext["cite"] {
    const tools = this.#own;
    return (quote) => tools.cite(quote);
  }

  get #own(): OwnTools {
    this.#tools ??= new OwnTools(this.#place, this.#task, this);
    return this.#tools;
  }

  #createLog(): Logger {
    const { agent, host } = this.#place;
    const { trace } = this;
    return host.log.child({ agent: agent.name, taskId: this.#task.id, ...(trace && { traceId: traceIdOf(trace) }) });
  }
}

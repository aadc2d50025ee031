import type { ConnectError } from "@connectrpc/connect";
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
import {
  type AgentEvent,
  childEnvelope,
  type Due,
  deadlineExceeded,
  type Envelope,
  failedPrecondition,
  internal,
  type Limits,
  notFound,
  timers,
} from "../core/index.ts";
import type { CallerIdentity } from "../identity/index.ts";
import type { TaskRecord } from "./record.ts";

/** What all runs share. */
export interface Host {
  readonly agents: readonly Agent[];
  readonly limits: Limits;
  readonly log: Logger;
}

/** A task has no agents above it. */
const none: readonly string[] = [];

/** One run of a task's agent, until the task settles: the envelope of everything that it calls, and the way to end it. */
export class TaskRun implements Envelope {
  readonly record: TaskRecord;
  /** Who asked for this run. */
  readonly identity: CallerIdentity;
  readonly deadlineMs: number;
  readonly callers = none;
  readonly #deadline: Due;
  #over = false;
  #controller: AbortController | undefined;
  #stopped: ConnectError | undefined;

  constructor(record: TaskRecord, identity: CallerIdentity, timeoutMs: number) {
    this.record = record;
    this.identity = identity;
    this.deadlineMs = Date.now() + timeoutMs;
    const late = () => record.stop(deadlineExceeded(`the task took longer than its ${Math.round(timeoutMs)} ms`));
    this.#deadline = timers.schedule(timeoutMs, late);
  }

  get caller(): string {
    return this.record.caller;
  }

  /** Aborted with the ConnectError that ends the task. Made when somebody asks for it: most agents never do. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#stopped !== undefined) this.#controller.abort(this.#stopped);
    }
    return this.#controller.signal;
  }

  /** True when nothing that the agent still yields counts. */
  get over(): boolean {
    return this.#over;
  }

  end(): void {
    this.#over = true;
    this.#deadline.cancel();
  }

  abort(error: ConnectError): void {
    this.#stopped = error;
    this.#controller?.abort(error);
  }

  /** Starts the agent. */
  start(task: Task, host: Host): AsyncIterable<Yield> {
    const { agent } = this.record;
    return agent.run(task, new Context({ agent, caller: this.identity, envelope: this, host }, task));
  }
}

/** An agent's place: what is above it, and what is around it. */
interface Place {
  readonly agent: Agent;
  readonly caller: CallerIdentity;
  readonly envelope: Envelope;
  readonly host: Host;
}

/** Runs an agent for another one, whose own run takes its breaths. */
async function* eventsOf(place: Place, task: Task): AsyncGenerator<AgentEvent, void, undefined> {
  const { agent } = place;
  for await (const item of agent.run(task, new Context(place, task))) yield toEvent(agent, item);
}

/** What an agent gets. Logger and directory come to be when it asks for them. */
class Context implements AgentContext {
  readonly #place: Place;
  readonly #task: Task;
  #log: Logger | undefined;
  #agents: AgentDirectory | undefined;

  constructor(place: Place, task: Task) {
    this.#place = place;
    this.#task = task;
  }

  get caller(): CallerIdentity {
    return this.#place.caller;
  }

  get signal(): AbortSignal {
    return this.#place.envelope.signal;
  }

  /** A function that can be taken from its context: agents do. */
  get timeoutMs(): () => number {
    return () => Math.max(0, this.#place.envelope.deadlineMs - Date.now());
  }

  get log(): Logger {
    const { agent, host } = this.#place;
    this.#log ??= host.log.child({ agent: agent.name, taskId: this.#task.id });
    return this.#log;
  }

  get agents(): AgentDirectory {
    this.#agents ??= directoryOf(this.#place, this.#task);
    return this.#agents;
  }
}

function directoryOf(place: Place, task: Task): AgentDirectory {
  const { agent, envelope, host } = place;
  const others = host.agents.filter((other) => other !== agent);
  return {
    cards: others.map(cardOf),
    capability(name) {
      const found = others.find((other) => other.capabilities.includes(name));
      if (found === undefined) throw notFound({ type: "capability", name });
      return handleOf({ ...place, agent: found, envelope: childEnvelope(envelope, agent.name) }, task);
    },
  };
}

function handleOf(place: Place, parent: Task): AgentHandle {
  const { agent, envelope, host } = place;
  return {
    card: cardOf(agent),
    stream(content, { metadata = {} } = {}) {
      const { callers } = envelope;
      const { maxCallDepth } = host.limits;
      if (callers.length >= maxCallDepth) {
        throw failedPrecondition({
          type: "CALL_DEPTH",
          subject: agent.name,
          description: `agents call each other more than ${maxCallDepth} deep: ${callers.join(" → ")}`,
        });
      }
      return eventsOf(place, { ...parent, content, metadata });
    },
  };
}

/** @throws ConnectError INTERNAL for what is no event. */
export function toEvent(agent: Agent, item: Yield): AgentEvent {
  if (typeof item === "string") return { case: "text", value: item };
  if (typeof item === "object" && item !== null && "case" in item && "value" in item) return item;
  const cause = new TypeError(`agent "${agent.name}" yielded ${typeof item}; yield a string or an event such as citation(…)`);
  throw internal(`agent "${agent.name}" failed in an unforeseen way`, { cause });
}

import type { ConnectError } from "@connectrpc/connect";
import type { Agent } from "../agent/index.ts";
import type { TaskRequest } from "../contract/index.ts";
import { type Envelope, notFound, resourceExhausted } from "../core/index.ts";
import type { Caller } from "./caller.ts";
import type { Host } from "./place.ts";

/** How long a caller that was turned away for want of room should wait. */
const busyRetryMs = 1_000;

/** Decides which agent a task is for, and whether it may run now. */
export class Admission {
  readonly #host: Host;
  readonly #agentsByName: ReadonlyMap<string, Agent>;
  readonly #running: () => number;
  #closed: ConnectError | undefined;

  /** @param running how many tasks are at work. */
  constructor(host: Host, running: () => number) {
    this.#host = host;
    this.#agentsByName = new Map(host.agents.map((agent) => [agent.name, agent]));
    this.#running = running;
  }

  /** Takes no task from now on. */
  close(reason: ConnectError): void {
    this.#closed = reason;
  }

  /** The agent of this name, if it is here. */
  agentNamed(name: string): Agent | undefined {
    return this.#agentsByName.get(name);
  }

  /** @throws ConnectError when the task may not run, or not now. */
  admit(request: TaskRequest, caller: Caller): Agent {
    const agent = this.findAgent(request);
    caller.mayAsk(agent);
    this.#checkDepth(caller.envelope, agent);
    this.checkRoom();
    return agent;
  }

  /** How long a task of this caller may take. */
  timeoutMs({ timeoutMs }: Pick<Caller, "timeoutMs">): number {
    const { maxDeadlineMs } = this.#host.limits;
    return Math.min(timeoutMs ?? maxDeadlineMs, maxDeadlineMs);
  }

  /**
   * The agent that a request names, or else the first that can do what it asks for; the first of all when it says neither.
   *
   * @throws ConnectError NOT_FOUND when there is none.
   */
  findAgent({ agentId: name, capability }: Pick<TaskRequest, "agentId" | "capability">): Agent {
    const { agents } = this.#host;
    if (name === "" && capability !== "") {
      const able = agents.find((each) => each.capabilities.includes(capability));
      return able ?? this.#missing("capability", capability);
    }
    return (name === "" ? agents[0] : this.#agentsByName.get(name)) ?? this.#missing("agent", name);
  }

  #missing(type: string, name: string): never {
    throw notFound({ type, name, hint: `the agents here are ${this.#host.agents.map((each) => each.name).join(", ")}` });
  }

  /** Callers that keep their own bounds have refused such a call already; this holds those to it that do not. */
  #checkDepth({ hops }: Envelope, agent: Agent): void {
    const { maxCallDepth } = this.#host.limits;
    if (hops.length < maxCallDepth) return;
    const chain = [...hops.map((hop) => hop.agent), agent.name].join(" → ");
    const description = `agents call each other more than ${maxCallDepth} deep: ${chain}`;
    throw resourceExhausted({ subject: "call depth", description });
  }

  /** @throws ConnectError UNAVAILABLE, RESOURCE_EXHAUSTED. */
  checkRoom(): void {
    if (this.#closed !== undefined) throw this.#closed;
    const { maxRunningTasks } = this.#host.limits;
    if (this.#running() < maxRunningTasks) return;
    const description = `${maxRunningTasks} tasks are at work, the most allowed; try again in a second`;
    throw resourceExhausted({ subject: "running tasks", description, retryMs: busyRetryMs });
  }
}

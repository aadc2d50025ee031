import type { Logger } from "pino";
import type { Agent } from "../agent/index.ts";
import type { AgentEvent, Envelope, Hop, Limits } from "../core/index.ts";
import type { CallerIdentity } from "../identity/index.ts";
import type { Threads } from "../memory/index.ts";
import type { Additions } from "./additions.ts";
import type { Meter } from "./meter.ts";
import type { AgentsElsewhere } from "./remote.ts";

/** What all runs share. */
export interface Host {
  readonly agents: readonly Agent[];
  readonly limits: Limits;
  readonly log: Logger;
  /** Undefined where no other servers can be found. */
  readonly elsewhere?: AgentsElsewhere | undefined;
  /** Shared memory. Undefined where there is none. */
  readonly threads?: Threads | undefined;
}

/** What an agent works under, and all agents of this server that it asks with it. */
export interface Work {
  readonly identity: CallerIdentity;
  /** As it came with the call. */
  readonly envelope: Envelope;
  readonly meter: Meter;
  /** What the task adds to shared memory when it finishes well. */
  readonly additions: Additions;
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch at which it is out of time. */
  readonly deadlineMs: number;
}

/** An agent's place: what is above it, and what is around it. */
export interface Place {
  readonly agent: Agent;
  readonly work: Work;
  /** The agents above this one, on this server and before. */
  readonly hops: readonly Hop[];
  readonly host: Host;
  /** Adds an event that the agent does not yield: a call of its tool. Does nothing when the run is over. */
  emit(event: AgentEvent): void;
}

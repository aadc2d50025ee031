import type { Agent } from "../agent/index.ts";
import type { Envelope } from "../core/index.ts";
import type { CallerIdentity } from "../identity/index.ts";

/** Who calls, and how long they are ready to wait. */
export interface Caller {
  /** The verified identity; tasks and conversations of one caller are hidden from every other. */
  readonly identity: CallerIdentity;
  /** What its call brought along. @throws ConnectError INVALID_ARGUMENT when that is malformed. */
  readonly envelope: Envelope;
  /** @throws ConnectError PERMISSION_DENIED when it may not ask this agent. */
  mayAsk(agent: Agent): void;
  /** Aborted when the caller leaves or its deadline is over. */
  readonly signal: AbortSignal;
  /** True when it left because its connection broke: it may come back. */
  readonly isLost: boolean;
  /** Calls back then, which is cheaper where nobody needs the signal. Returns what forgets the listener. */
  onLeave(listener: (reason: unknown) => void): () => void;
  /** True when it cannot be told that events are void: a stream leaves out what is void when it begins. */
  readonly isOfFirstContract: boolean;
  /** Milliseconds that the caller gives; undefined for no deadline. */
  readonly timeoutMs: number | undefined;
}

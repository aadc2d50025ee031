/**
 * What travels down the call tree with every call. It only shrinks: a call made on behalf of another never has a later
 * deadline, a wider signal or less depth than the one above it.
 */
export interface Envelope {
  /** Aborted with a ConnectError when the work is cancelled or out of time. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch at which the work is out of time. */
  readonly deadlineMs: number;
  /** Agents above this one in the call tree, the outermost first. */
  readonly callers: readonly string[];
  /** The caller's identity as the server verified it. */
  readonly caller: string;
}

/** The envelope for a call that `agent` makes. */
export function childEnvelope(envelope: Envelope, agent: string): Envelope {
  const { signal, deadlineMs, callers, caller } = envelope; // one by one: they may be accessors of a class
  return { signal, deadlineMs, callers: [...callers, agent], caller };
}

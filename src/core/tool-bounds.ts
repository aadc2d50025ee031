/** Bounds of tools. */
export const toolBounds = {
  /** How long one call of a tool may take, unless the tool says otherwise; the task's deadline counts, too. */
  timeoutMs: 60_000,
  /** The most that a tool may ask for. */
  maxTimeoutMs: 60 * 60 * 1000,
  /** Bytes of a result in JSON, unless the tool says otherwise: a model reads all of it. */
  maxResultBytes: 256 * 1024,
  /** The most that a tool may ask for; a task's log has room for a few of them. */
  maxMaxResultBytes: 4 * 1024 * 1024,
  /** Tools of one run that work at once; further ones wait. */
  maxAtOnce: 16,
  /** Calls of one run that work or wait. */
  maxWaiting: 128,
  /** Rounds of tools that a caller runs for one task, unless the call says otherwise. */
  maxRounds: 32,
} as const;

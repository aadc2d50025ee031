/** Bounds of agents that ask several others at once, or choose among them. */
export const askBounds = {
  /** Asks of one fan-out. */
  maxAsks: 64,
  /** Asks of it that run at once when nothing is said: streams of one connection, so this spares those who are asked. */
  concurrency: 16,
  /** Events that are kept of one answer, as many as a task can have. */
  maxAnswerEvents: 100_000,
  /** Characters of text that are kept of one answer. */
  maxAnswerChars: 16 * 1024 * 1024,
  /** Characters of a task that the patterns of routes are tried on: a pattern may take time that grows with their square. */
  maxMatchedChars: 4_096,
  /** Turns before a task that a model which chooses its route is told. */
  maxTurnsToChooseBy: 8,
} as const;

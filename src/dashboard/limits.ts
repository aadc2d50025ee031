/** Every bound of the page. The server has its own, in `core/limits.ts`. */
export const limits = {
  /** Agents that are listed. */
  maxAgents: 200,
  /** Examples of an agent that are offered. */
  maxExamples: 6,
  /** Earlier questions and answers that are kept, the oldest leaving first. */
  maxTurns: 50,
  /** Characters of one answer with its sources; more would make the page slow. */
  maxAnswerChars: 1_000_000,
  /** Characters of an error's message. */
  maxErrorChars: 400,
  /** From asking for the list of agents to having it. */
  agentsTimeoutMs: 10_000,
  /** From looking at a task that did not take an answer to knowing where it stands. */
  lookTimeoutMs: 10_000,
} as const;

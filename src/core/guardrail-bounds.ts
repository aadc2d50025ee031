/** Bounds of the checks of results, at the caller and at the agent. */
export const guardrailBounds = {
  /** How long one guardrail may take: a judge is a model, which thinks. */
  checkTimeoutMs: 30_000,
  /** Reasons of one verdict: they travel in headers, which peers bound to 8 or 16 KiB. */
  maxReasons: 10,
  /** Characters of a reason. */
  maxReasonChars: 200,
  /** Characters of a claim or quote that a reason repeats. */
  maxClaimChars: 100,
  /** Events of a stream that wait for its verdict: as many as a server lets a task have. */
  maxHeldEvents: 100_000,
  /** Characters of their texts, tool results and quotes together. */
  maxHeldChars: 16 * 1024 * 1024,
} as const;

/** Bounds of an agent's model, each unless the agent says otherwise. */
export const modelBounds = {
  /** Answers of the model in one run; all but the last call tools. */
  maxSteps: 20,
  /** Tokens, read and written, of one run. */
  maxTokens: 1_000_000,
  /** How long the model may be silent before the first piece of each answer; those that think for long say something meanwhile. */
  firstChunkMs: 120_000,
  /** How long it may be silent after that. */
  chunkMs: 60_000,
  /** How often a request that the provider refused for now, or that did not reach it, is made again. */
  maxRetries: 2,
  /** Characters of one piece of text or of one call's arguments. */
  maxPieceChars: 1024 * 1024,
  /** Bytes of one event of the provider's stream, which is held until it has ended. */
  maxEventBytes: 4 * 1024 * 1024,
  /** Pieces of text that wait for an agent to take them; the model is not read meanwhile. Few, so that a fast model lets the first ones go. */
  maxTappedPieces: 16,
  /** When a provider that refuses for now does not say when to come again. */
  retryMs: 1_000,
} as const;

/** Bounds of MCP servers whose tools agents call. */
export const mcpBounds = {
  /** How long a server may take to start, or to be reached, and to name its tools. */
  connectTimeoutMs: 30_000,
  /** Tools of one server. */
  maxTools: 128,
  /** Pages in which it may name them. */
  maxPages: 32,
  /** Characters of what it says of a failure. */
  maxFailureChars: 4_096,
  /** When to come again to one that is away. */
  retryMs: 1_000,
} as const;

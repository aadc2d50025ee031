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
  /** Bytes of one message of it, and of what it has not read. */
  maxMessageBytes: 16 * 1024 * 1024,
  /** When to come again to one that is away, and the first pause before a program that has ended soon, twice, is started again; the longest such pause. */
  retryMs: 1_000,
  maxRetryMs: 30_000,
  /** A program that has run for so long has not ended soon. */
  steadyMs: 10_000,
  /** Each of the ways to end one waits so long: its input ends, SIGTERM, SIGKILL; the end of its session. */
  closeMs: 2_000,
  /** For so long what a dead one wrote is still read, when somebody else holds its output open. */
  lastOutputMs: 500,
  /** How often a group of processes that ends is looked at. */
  pollMs: 10,
  /** How long programs have between SIGTERM and SIGKILL when this process exits, which waits for it. */
  exitMs: 200,
} as const;

/** Bounds of the store on NATS JetStream. */
export const natsBounds = {
  /** How long a call is tried again while NATS does not answer. The loss of a stream's leader takes it 4 to 9 s. */
  retryMs: 20_000,
  /** How long one attempt waits for its answer: far above what a busy cluster takes, and several fit into `retryMs`. */
  attemptMs: 2_000,
  /** The start, when nothing is said. */
  connectTimeoutMs: 10_000,
  /** The longest start that can be asked for. */
  maxConnectTimeoutMs: 10 * 60 * 1000,
  /** One message of a log: appends that wait are put together up to this, and larger ones are cut. */
  messageBytes: 512 * 1024,
  /** One append: whoever reads it holds all of it, since it comes as a whole or not at all. */
  maxAppendBytes: 64 * 1024 * 1024,
  /** Appends that wait or are under way, together. */
  maxQueuedBytes: 256 * 1024 * 1024,
  /** What a reader asks for at once, and so what a slow one holds. */
  pageBytes: 64 * 1024,
  /** Messages of one page. */
  pageMessages: 256,
  /** What was appended just now is kept for followers of all logs together. */
  recentBytes: 512 * 1024,
  /** Logs whose ends are remembered between appends: each saves one question. */
  maxKnownEnds: 10_000,
  /** How often the log of a waiting follower is asked for, in case that the word of an append was lost. */
  recheckMs: 5_000,
  /** Questions under way at once when many logs are asked for. */
  questionsAtOnce: 64,
  /** What is told of leases while the mirror is read; beyond, it is read again. */
  maxLeasesAhead: 100_000,
  /** How far the clocks of the NATS servers may differ before leases end early; they end later by as much. */
  leaseGraceMs: 25,
  /** A lease's record is removed by the server so long after its end. */
  leaseRecordMs: 60_000,
  /** How long a server keeps the record that a lease was released, for those who were away. */
  leaseReleaseMs: 60 * 60 * 1000,
  /** How long leases may be silent before the mirror asks whether it hears. */
  leaseSilenceMs: 5_000,
} as const;

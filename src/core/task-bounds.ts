/** Bounds of tasks that are kept in a store, that are nobody's to choose. */
export const taskBounds = {
  /** How long a server that has died is taken for one that lives: its tasks are taken over after that. Renewed after a third of it. */
  runnerTtlMs: 6_000,
  /** Events of a task that wait to be kept before its agent waits, too. */
  maxUnkeptEvents: 1_000,
  /** Events that a reader of a task's log holds at once. */
  maxReadAtOnce: 64,
  /** Entries of one append. */
  maxKeptAtOnce: 1_000,
  /** How long a task's events wait for a store that is away; then the task fails. A cluster that has lost its leader takes up to 9 s. */
  awayPatienceMs: 30_000,
  /** How long CancelTask waits for the server that runs the task. */
  cancelPatienceMs: 10_000,
  /** How long a caller that says that it leaves may take to seem lost. */
  leavingPatienceMs: 5_000,
  /** How long a note to another server is there, unless it is renewed. */
  noteTtlMs: 15_000,
  /** How often the agent of a task, one that is restartable, begins anew: the task may be what kills its servers. */
  maxRestarts: 3,
  /** How often a turn is appended to its conversation when other servers come first; each time that it fails one of them has got on. */
  maxTurnAttempts: 32,
  /** How long a task's end waits for what it adds to conversation and memory, so that whoever hears of the end finds it there. */
  aftermathPatienceMs: 2_000,
  /** How often that is tried; then whoever shares the store does it when this server has ended. */
  maxAftermathAttempts: 10,
  /** How often a server looks for what others that have died have left. */
  redoIntervalMs: 60_000,
  /** How often a server walks through the tasks of its store, to forget old ones. */
  retentionIntervalMs: 10 * 60 * 1000,
  /** How long a server that walks keeps others from it after it has died. */
  retentionLeaseMs: 60_000,
  /** Callers whose names are remembered as they stand in the names of logs. */
  maxCallerKeys: 1_000,
  /** Tasks of other servers that this one follows at once. */
  maxFollowed: 10_000,
} as const;

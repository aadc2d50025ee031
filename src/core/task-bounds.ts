/** Bounds of tasks that are kept in a store, that are nobody's to choose. */
export const taskBounds = {
  /** How long a server that has died is taken for one that lives: its tasks are taken over after that. Renewed after a third of it. */
  runnerTtlMs: 6_000,
  /** Events of a task that wait to be kept before its agent waits, too. */
  maxUnkeptEvents: 1_000,
  /** Entries of one append. */
  maxKeptAtOnce: 1_000,
  /** How long a task's events wait for a store that is away; then the task fails. A cluster that has lost its leader takes up to 9 s. */
  awayPatienceMs: 30_000,
  /** How long CancelTask waits for the server that runs the task. */
  cancelPatienceMs: 10_000,
  /** How long a note to another server is there, unless it is renewed. */
  noteTtlMs: 15_000,
  /** How often the agent of a task, one that is restartable, begins anew: the task may be what kills its servers. */
  maxRestarts: 3,
  /** Tasks of other servers that this one follows at once. */
  maxFollowed: 10_000,
} as const;

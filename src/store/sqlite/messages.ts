import type { Batch } from "./batch.ts";
import type { Failure, FileFailure } from "./failure.ts";

/** What the writing thread begins with. */
export interface WriterSettings {
  readonly path: string;
  readonly busyTimeoutMs: number;
  readonly maxEmptiedLogs: number;
  readonly maxEndedLeases: number;
  readonly maxKnownLogs: number;
  readonly maxGroupOperations: number;
  readonly maxGroupBytes: number;
  readonly maxWalPages: number;
  readonly maxLeaseTtlMs: number;
  readonly pollMs: number;
}

/** What the writing thread is told. */
export type Request =
  | { readonly case: "batch"; readonly batch: Batch }
  /** Whether it looks for changes of other processes. */
  | { readonly case: "follow"; readonly following: boolean }
  /** All that came before is done, then the thread ends. */
  | { readonly case: "close" };

/** What the writing thread tells. */
export type Report =
  | { readonly case: "open" }
  /** It could not open the file, and ends. */
  | { readonly case: "refused"; readonly failure: FileFailure }
  /** The outcomes of batches, in their order: those that have succeeded are on the disk. */
  | { readonly case: "done"; readonly outcomes: readonly Outcome[]; readonly leasesChanged: boolean }
  /** Leases have ended. */
  | { readonly case: "leases" }
  /** Other processes have changed the file. */
  | { readonly case: "others" };

/** What came of a batch. */
export interface Outcome {
  /** append: the log's length. lease: the revision. Else 0; for what failed nothing that counts. */
  readonly numbers: Float64Array;
  readonly failures: readonly { readonly index: number; readonly failure: Failure }[];
}

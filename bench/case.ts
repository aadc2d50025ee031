import type { Processes } from "./processes.ts";
import type { Tool } from "./tools.ts";

/** One question to several subjects: `cases/` holds them, one file each. */
export interface BenchCase {
  /** How `--only` and the results call it. */
  readonly name: string;
  /** For people: what is measured, at which load. */
  readonly title: string;
  readonly unit: string;
  readonly better: "higher" | "lower";
  /** The subject that is ours. Default `convoke`. */
  readonly ours?: string;
  /** How many times better than a peer ours has to be. */
  readonly floors?: Readonly<Record<string, Floor>>;
  /** Names of the values that one trial gives together; each becomes a result `<name>-<part>`. Default: one value. */
  readonly parts?: readonly string[];
  /** How often to measure, for trials that have no duration and need no warm-up. */
  readonly runs?: number;
  /** Tools without which the whole case is skipped. */
  readonly needs?: readonly Tool[];
  readonly subjects: readonly Subject[];
}

/** A promise: missing it fails the run. */
export interface Floor {
  readonly floor: number;
  /** Where we want to be. */
  readonly aim?: number;
}

export interface Subject {
  readonly name: string;
  /** Tools without which this subject is skipped. */
  readonly needs?: readonly Tool[];
  /** Starts what it needs. The processes are ended after the case, whatever happened. */
  start(context: Context): Promise<Trial>;
}

export interface Context {
  readonly processes: Processes;
  /** A short run whose figures are rough. */
  readonly quick: boolean;
}

/** Measures once, for about that long; gives the value in the case's unit, or one value for each part. */
export type Trial = (durationMs: number) => Promise<number | readonly number[]>;

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
  /** How good ours has to be beside peers, by their names. */
  readonly floors?: Readonly<Record<string, Floor>>;
  /** How good ours has to be by itself, by the name of the result: at least that or, where lower is better, at most. */
  readonly figures?: Readonly<Record<string, number>>;
  /** Names of the values that one trial gives together; each becomes a result `<name>-<part>`. Default: one value. */
  readonly parts?: readonly string[];
  /** How often to measure, for trials that have no duration and need no warm-up. */
  readonly runs?: number;
  /** Tools without which the whole case is skipped. */
  readonly needs?: readonly Tool[];
  readonly subjects: readonly Subject[];
}

/** A promise: missing it fails the run. */
export type Floor =
  /** How many times better than the peer, and where we want to be. */
  | { readonly floor: number; readonly aim?: number }
  /** How far behind the peer at most, in the case's unit. */
  | { readonly within: number };

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
  /** Says something that is no result. */
  readonly log: (line: string) => void;
  /** Runs after the case, whatever happened, when its processes have ended. */
  readonly afterwards: (act: () => Promise<void> | void) => void;
}

/** Measures once, for about that long; gives the value in the case's unit, or one value for each part. */
export type Trial = (durationMs: number) => Promise<number | readonly number[]>;

export function ourName({ ours = "convoke" }: BenchCase): string {
  return ours;
}

import type { BenchCase } from "./case.ts";
import type { Outcome } from "./measure.ts";
import { versionOf } from "./tools.ts";

/** One subject's value in one case. */
export interface Row {
  readonly case: string;
  readonly subject: string;
  readonly version: string;
  /** The median of the runs. */
  readonly value: number;
  readonly unit: string;
  /** In the order in which they were measured. */
  readonly runs: readonly number[];
  /** How many times better than the other it is: of ours against every peer, of a peer against ours. Above 1 wins. */
  readonly ratios: Readonly<Record<string, number>>;
  /** What ours promises against peers. */
  readonly floor?: Readonly<Record<string, number>>;
  /** False when a floor is missed, or could not be judged because a subject broke. */
  readonly met: boolean;
}

/** What is not in the rows, as `<case>: <subject>`. */
export interface Unmeasured {
  /** They broke, which fails the run. */
  readonly failed: readonly string[];
  /** A tool is missing. */
  readonly skipped: readonly string[];
}

/** The rows of a case: for each part ours first, then the peers from the best to the worst. */
export function rowsOf(outcome: Outcome): Row[] {
  const { benchCase } = outcome;
  const { name, parts } = benchCase;
  if (parts === undefined) return rowsOfPart(outcome, name, 0);
  return parts.flatMap((part, index) => rowsOfPart(outcome, `${name}-${part}`, index));
}

function rowsOfPart({ benchCase, values, skipped }: Outcome, name: string, part: number): Row[] {
  const ours = ourName(benchCase);
  const runsOf = (subject: string) => (values.get(subject) ?? []).map((run) => run[part] ?? Number.NaN);
  const medians = new Map([...values.keys()].map((subject) => [subject, median(runsOf(subject))]));
  const own = medians.get(ours) ?? Number.NaN;
  const better = (mine: number, other: number) => (benchCase.better === "higher" ? mine / other : other / mine);
  const peers = [...medians].filter(([subject]) => subject !== ours).sort(([, one], [, other]) => better(other, one) - 1);
  const common = (subject: string, value: number) => {
    const version = versionOf(subject);
    return { case: name, subject, version, value, unit: benchCase.unit, runs: runsOf(subject) };
  };
  const rows = peers.map(
    ([subject, value]): Row => ({ ...common(subject, value), ratios: { [ours]: better(value, own) }, met: true }),
  );
  if (!medians.has(ours)) return rows;
  const ratios = Object.fromEntries(peers.map(([subject, value]) => [subject, better(own, value)]));
  const floors = Object.entries(benchCase.floors ?? {}).filter(([peer]) => !skipped.includes(peer));
  const met = floors.every(([peer, { floor }]) => (ratios[peer] ?? 0) >= floor);
  const floor = Object.fromEntries(floors.map(([peer, { floor }]) => [peer, floor]));
  return [{ ...common(ours, own), ratios, ...(floors.length > 0 && { floor }), met }, ...rows];
}

export function ourName({ ours = "convoke" }: BenchCase): string {
  return ours;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  const [low = Number.NaN, high = low] = sorted.length % 2 === 1 ? [sorted[middle]] : sorted.slice(middle - 1, middle + 1);
  return (low + high) / 2;
}

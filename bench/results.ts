import { type BenchCase, ourName } from "./case.ts";
import { judge, ratioOf, type Verdict } from "./floors.ts";
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
  /** What ours promises: by peer how many times better, by unit a figure, by `<unit> behind <peer>` the distance. */
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
  const better = (mine: number, other: number) => ratioOf(benchCase, mine, other);
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
  const verdicts = judge(benchCase, name, medians).filter(({ peer = "" }) => !skipped.includes(peer));
  const floor = Object.fromEntries(verdicts.map((verdict) => [verdict.against, verdict.floor]));
  const met = verdicts.every((verdict) => verdict.met);
  return [{ ...common(ours, own), ratios, ...(verdicts.length > 0 && { floor }), met }, ...rows];
}

/** What became of the promises of one result, from its rows. */
export function verdictsOf(benchCase: BenchCase, rows: readonly Row[]): Verdict[] {
  const ours = rows.find(({ subject }) => subject === ourName(benchCase));
  if (ours?.floor === undefined) return [];
  const { case: name, floor } = ours;
  const values = new Map(rows.map(({ subject, value }) => [subject, value]));
  return judge(benchCase, name, values).filter(({ against }) => Object.hasOwn(floor, against));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  const [low = Number.NaN, high = low] = sorted.length % 2 === 1 ? [sorted[middle]] : sorted.slice(middle - 1, middle + 1);
  return (low + high) / 2;
}

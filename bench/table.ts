import { type BenchCase, ourName } from "./case.ts";
import { formatNumber } from "./measure.ts";
import { type Row, type Unmeasured, verdictsOf } from "./results.ts";

/** One case's results, as people read them in a terminal. */
export function formatTable(benchCase: BenchCase, rows: readonly Row[]): string {
  const { title, unit, better } = benchCase;
  const results = byResult(rows).map(([name, own]) => {
    const lines = own.map((row) => formatRow(benchCase, row, own));
    return [`\n${name}: ${title}; ${unit}, ${better} is better`, ...lines].join("\n");
  });
  return results.join("\n");
}

function formatRow(benchCase: BenchCase, row: Row, rows: readonly Row[]): string {
  const ours = rows.find(({ subject }) => subject === ourName(benchCase));
  const subject = `${row.subject} ${row.version}`.padEnd(26);
  const start = `  ${subject} ${formatNumber(row.value).padStart(12)}`;
  if (ours === undefined) return start;
  const own = verdictsOf(benchCase, rows).filter(({ peer }) => peer === (row === ours ? undefined : row.subject));
  const ratio = ours.ratios[row.subject] ?? Number.NaN;
  const beside = row === ours ? [] : [`ours is ${ratio.toFixed(2)} ×`, ...(ratio < 1 ? ["THE PEER WINS"] : [])];
  const notes = [...beside, ...own.map(({ promise, met }) => `${met ? "met" : "MISSED"}: ${promise}`)];
  return notes.length === 0 ? start : `${start}  ${notes.join(", ")}`;
}

/** The end of the table: what is wrong, or that nothing is. */
export function formatSummary(results: ReadonlyMap<BenchCase, readonly Row[]>, { failed, skipped }: Unmeasured): string {
  const verdicts = [...results].flatMap(([benchCase, rows]) =>
    byResult(rows).flatMap(([name, own]) => verdictsOf(benchCase, own).map((verdict) => ({ name, ...verdict }))),
  );
  const missed = verdicts.filter(({ met }) => !met);
  const lines = [`\n${verdicts.length - missed.length} of ${verdicts.length} floors are met`];
  if (missed.length > 0)
    lines.push("missed:", ...missed.map(({ name, measured, promise }) => `  ${name}: ${measured}, ${promise}`));
  if (skipped.length > 0) lines.push("skipped, because a tool is missing:", ...skipped.map((each) => `  ${each}`));
  if (failed.length > 0) lines.push("could not be measured:", ...failed.map((each) => `  ${each}`));
  return lines.join("\n");
}

/** The rows of each result, by its name. */
function byResult(rows: readonly Row[]): [name: string, rows: readonly Row[]][] {
  const names = [...new Set(rows.map((row) => row.case))];
  return names.map((name) => [name, rows.filter((row) => row.case === name)]);
}

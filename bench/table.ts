import type { BenchCase } from "./case.ts";
import { formatNumber } from "./measure.ts";
import { ourName, type Row, type Unmeasured } from "./results.ts";

/** One case's results, as people read them in a terminal. */
export function formatTable(benchCase: BenchCase, rows: readonly Row[]): string {
  const names = [...new Set(rows.map((row) => row.case))];
  return names.map((name) => formatPart(benchCase, rows, name)).join("\n");
}

function formatPart(benchCase: BenchCase, rows: readonly Row[], name: string): string {
  const ours = rows.find((row) => row.case === name && row.subject === ourName(benchCase));
  const lines = rows.filter((row) => row.case === name).map((row) => formatRow(benchCase, row, ours));
  return [`\n${name}: ${benchCase.title}; ${benchCase.unit}, ${benchCase.better} is better`, ...lines].join("\n");
}

function formatRow(benchCase: BenchCase, row: Row, ours: Row | undefined): string {
  const subject = `${row.subject} ${row.version}`.padEnd(26);
  const start = `  ${subject} ${formatNumber(row.value).padStart(12)}`;
  if (row === ours || ours === undefined) return start;
  const ratio = ours.ratios[row.subject] ?? Number.NaN;
  const verdict = [`ours is ${ratio.toFixed(2)} ×`, ...judge(benchCase, row.subject, ratio)];
  return `${start}  ${verdict.join(", ")}`;
}

function judge({ floors = {} }: BenchCase, peer: string, ratio: number): string[] {
  const notes = ratio < 1 ? ["THE PEER WINS"] : [];
  const promise = floors[peer];
  if (promise === undefined) return notes;
  const { floor, aim } = promise;
  const state = ratio < floor ? "MISSED" : aim !== undefined && ratio >= aim ? "met, and the aim too" : "met";
  return [...notes, `floor ${floor} ${state}${aim === undefined ? "" : ` (aim ${aim})`}`];
}

/** The end of the table: what is wrong, or that nothing is. */
export function formatSummary(rows: readonly Row[], { failed, skipped }: Unmeasured): string {
  const missed = rows.flatMap(({ case: name, ratios, floor = {} }) =>
    Object.entries(floor)
      .filter(([peer, least]) => (ratios[peer] ?? 0) < least)
      .map(([peer, least]) => `  ${name}: ${(ratios[peer] ?? 0).toFixed(2)} × ${peer}, floor ${least}`),
  );
  const judged = rows.reduce((sum, { floor = {} }) => sum + Object.keys(floor).length, 0);
  const lines = [`\n${judged - missed.length} of ${judged} floors are met`];
  if (missed.length > 0) lines.push("missed:", ...missed);
  if (skipped.length > 0) lines.push("skipped, because a tool is missing:", ...skipped.map((each) => `  ${each}`));
  if (failed.length > 0) lines.push("could not be measured:", ...failed.map((each) => `  ${each}`));
  return lines.join("\n");
}

import type { BenchCase, Context, Subject, Trial } from "./case.ts";
import { createProcesses } from "./processes.ts";
import type { Tool } from "./tools.ts";

/** How long and how often. */
export interface Plan {
  readonly quick: boolean;
  readonly runs: number;
  readonly durationMs: number;
  readonly warmUpMs: number;
}

export const fullPlan: Plan = { quick: false, runs: 5, durationMs: 1_200, warmUpMs: 1_500 };
export const quickPlan: Plan = { quick: true, runs: 3, durationMs: 400, warmUpMs: 500 };

/** What a case gave. */
export interface Outcome {
  readonly benchCase: BenchCase;
  /** By subject: for each run, one value for each part. */
  readonly values: ReadonlyMap<string, readonly (readonly number[])[]>;
  /** Subjects that could not be measured because a tool is missing. */
  readonly skipped: readonly string[];
  /** Subjects that broke. */
  readonly failed: readonly string[];
}

/** Progress for people. */
export type Log = (line: string) => void;

/**
 * Measures the subjects of a case in turn, again and again, so that whatever the machine does meanwhile meets all of them; each
 * round starts with another subject, so that none is always the one after the slowest.
 */
export async function measureCase(benchCase: BenchCase, plan: Plan, log: Log): Promise<Outcome> {
  const values = new Map<string, (readonly number[])[]>();
  const failed = new Set<string>();
  const { ready, skipped } = sortOut(benchCase, log);
  if (ready.length === 0) return { benchCase, values, skipped, failed: [] };
  const processes = createProcesses();
  const endings: (() => Promise<void> | void)[] = [];
  const context: Context = {
    processes,
    quick: plan.quick,
    log: (line) => log(`  ${line}`),
    afterwards: (act) => void endings.push(act),
  };
  const attempt = async (subject: Subject, act: () => Promise<void>) => {
    try {
      if (!failed.has(subject.name)) await act();
    } catch (error) {
      failed.add(subject.name);
      values.delete(subject.name);
      log(`  ${subject.name} FAILED: ${error instanceof Error ? error.message : error}`);
    }
  };
  try {
    const trials = new Map<string, Trial>();
    for (const subject of ready) {
      await attempt(subject, async () => {
        const trial = await subject.start(context);
        trials.set(subject.name, trial);
        if (benchCase.runs === undefined) await trial(plan.warmUpMs);
      });
    }
    const runs = benchCase.runs ?? plan.runs;
    for (let run = 0; run < runs; run++) {
      const order = ready.map((_, index) => ready[(index + run) % ready.length]);
      for (const subject of order) {
        if (subject === undefined) continue; // the index is in range
        await attempt(subject, async () => {
          const value = await trials.get(subject.name)?.(plan.durationMs);
          const each = typeof value === "number" ? [value] : (value ?? []);
          values.set(subject.name, [...(values.get(subject.name) ?? []), each]);
        });
      }
      log(`  run ${run + 1}/${runs}: ${progress(values)}`);
    }
  } finally {
    await processes.stop();
    await Promise.all(endings.map((act) => act()));
  }
  return { benchCase, values, skipped, failed: [...failed] };
}

/** Says plainly what is missing. */
function sortOut({ name, needs = [], subjects }: BenchCase, log: Log) {
  const missingOf = (tools: readonly Tool[]) => tools.find(({ version }) => version === undefined);
  const skip = (what: string, { name: tool, hint }: Tool) => log(`  ${what} is SKIPPED: ${tool} is missing (${hint})`);
  const missing = missingOf(needs);
  if (missing !== undefined) {
    skip(name, missing);
    return { ready: [], skipped: subjects.map((subject) => subject.name) };
  }
  const ready: Subject[] = [];
  const skipped: string[] = [];
  for (const subject of subjects) {
    const lacks = missingOf(subject.needs ?? []);
    if (lacks === undefined) ready.push(subject);
    else {
      skipped.push(subject.name);
      skip(subject.name, lacks);
    }
  }
  return { ready, skipped };
}

function progress(values: ReadonlyMap<string, readonly (readonly number[])[]>): string {
  return [...values].map(([name, runs]) => `${name} ${(runs.at(-1) ?? []).map(formatNumber).join(" ")}`).join(", ");
}

/** Three or more digits that matter. */
export function formatNumber(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const churn = fileURLToPath(new URL("fixtures/wire/churn.ts", import.meta.url));
const timeoutMs = 240_000;

/** What the program tells; see there. */
interface Told {
  readonly seed: number;
  readonly calls: number;
  readonly heap: readonly [early: number, half: number, late: number];
  readonly inFlight: number;
  readonly stillOpen: readonly string[];
  readonly outcomes: Readonly<Record<string, number>>;
}

const mebibytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;

test(
  "after 200,000 calls of all kinds and fates the heap is where it was after 20,000, and nothing is open",
  async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", churn], { timeout: timeoutMs });
    const told: Told = JSON.parse(stdout);
    const [early, half, late] = told.heap;
    process.stdout.write(
      `heap after ${told.calls / 10} calls ${mebibytes(early)}, after ${told.calls} ${mebibytes(late)} (SEED=${told.seed})\n`,
    );
    expect(late).toBeLessThan(1.1 * early);
    expect(late).toBeLessThan(1.1 * half);
    expect(told).toMatchObject({ inFlight: 0, stillOpen: [] });
    const expected = ["OK", "Canceled", "FailedPrecondition", "Unavailable"]; // as asked for; cancelled; as it said; broken
    expect(Object.keys(told.outcomes).filter((outcome) => !expected.includes(outcome))).toEqual([]);
    for (const outcome of expected) expect(told.outcomes[outcome]).toBeGreaterThan(told.calls / 100);
  },
  timeoutMs,
);

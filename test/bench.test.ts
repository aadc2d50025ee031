import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./support/process.ts";
import { runTool } from "./support/tools.ts";

/** One row of `--json`. */
interface Row {
  readonly case: string;
  readonly subject: string;
  readonly version: string;
  readonly value: number;
  readonly unit: string;
  readonly runs: readonly number[];
  readonly ratios: Readonly<Record<string, number>>;
  readonly met: boolean;
}

const folder = mkdtempSync(join(tmpdir(), "convoke-bench-test-"));

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a part of the benchmark, which needs the package built. */
async function bench(...args: string[]) {
  const file = join(folder, "result.json");
  const { exitCode, stdout, stderr } = await runTool(process.execPath, [join(root, "bench/run.ts"), "--json", file, ...args]);
  const rows = (): Row[] => JSON.parse(readFileSync(file, "utf8")); // as the interface says, which the tests below look at
  return { exitCode, output: stdout.toString(), progress: stderr, rows };
}

test("the benchmark measures a case in turns, says how far it is, and writes the medians with their ratios", async () => {
  const { exitCode, output, progress, rows } = await bench("--quick", "--only", "fan-out");
  expect(progress).toContain("run 3/3");
  expect(exitCode).toBe(0);
  expect(output).toMatch(/convoke \d/);
  const [ours, ...peers] = rows();
  expect(peers.map(({ subject }) => subject).sort()).toEqual(["connect-node", "grpc-js"]);
  expect(ours).toMatchObject({ case: "fan-out-4", subject: "convoke", unit: "rounds/s", met: true });
  expect(ours?.runs).toHaveLength(3);
  for (const { subject, value } of peers) expect(ours?.ratios[subject]).toBeCloseTo((ours?.value ?? 0) / value);
});

test("a message takes fewer bytes in protobuf than in JSON", async () => {
  const { exitCode, rows } = await bench("--quick", "--only", "message-size");
  expect(exitCode).toBe(0);
  const protobuf = rows().filter(({ subject }) => subject === "protobuf");
  expect(protobuf.map((row) => row.case)).toEqual(["message-size-task", "message-size-answer", "message-size-chunk"]);
  for (const { ratios } of protobuf) expect(ratios["JSON"]).toBeGreaterThan(1);
});

test("a case that there is not is wrong usage", async () => {
  const { exitCode, progress } = await bench("--only", "nothing-of-the-kind");
  expect(exitCode).toBe(2);
  expect(progress).toContain("nothing-of-the-kind");
});

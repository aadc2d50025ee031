import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BenchCase } from "../bench/case.ts";
import { judge } from "../bench/floors.ts";
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
  readonly floor?: Readonly<Record<string, number>>;
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
  const { exitCode, output, progress, rows } = await bench("--quick", "--only", "fan-out-4");
  expect(progress).toContain("run 3/3");
  expect(exitCode).toBe(0);
  expect(output).toMatch(/convoke \d/);
  const [ours, ...peers] = rows();
  expect(peers.map(({ subject }) => subject).sort()).toEqual(["connect-node", "grpc-js"]);
  expect(ours).toMatchObject({ case: "fan-out-4", subject: "convoke", unit: "rounds/s", met: true });
  expect(ours?.runs).toHaveLength(3);
  for (const { subject, value } of peers) expect(ours?.ratios[subject]).toBeCloseTo((ours?.value ?? 0) / value);
});

test("a floor that is a figure stands in the result with its unit, and is what the run is judged by", async () => {
  const { exitCode, output, rows } = await bench("--quick", "--only", "sqlite-store");
  const [ours] = rows();
  expect(ours).toMatchObject({ case: "sqlite-store", subject: "sqlite", unit: "entries/s", floor: { "entries/s": 100_000 } });
  expect(ours?.met).toBe((ours?.value ?? 0) >= 100_000);
  expect(exitCode).toBe(ours?.met ? 0 : 1);
  expect(output).toContain(`${ours?.met ? "met" : "MISSED"}: at least 100,000 entries/s`);
});

describe("what is promised of ours", () => {
  const benchCase = { name: "case", title: "", unit: "ms", better: "lower", subjects: [] } as const;
  const judged = (promised: Pick<BenchCase, "floors" | "figures" | "better">, own: number, peer?: number) => {
    const values = new Map([["convoke", own], ...(peer === undefined ? [] : [["peer", peer] as const])]);
    return judge({ ...benchCase, ...promised }, "case", values).map(({ against, met, measured }) => [against, met, measured]);
  };

  test.each([
    ["a ratio that is met", { better: "higher", floors: { peer: { floor: 2 } } }, 20, 10, ["peer", true, "2.00 × peer"]],
    ["a ratio that is missed", { better: "higher", floors: { peer: { floor: 2 } } }, 19, 10, ["peer", false, "1.90 × peer"]],
    [
      "a ratio where lower is better",
      { better: "lower", floors: { peer: { floor: 2 } } },
      5,
      10,
      ["peer", true, "2.00 × peer"],
    ],
    [
      "a distance that is kept",
      { better: "lower", floors: { peer: { within: 10 } } },
      11,
      1,
      ["ms behind peer", true, "10.0 ms behind peer"],
    ],
    [
      "a distance that is not",
      { better: "lower", floors: { peer: { within: 10 } } },
      12,
      1,
      ["ms behind peer", false, "11.0 ms behind peer"],
    ],
    ["the least figure", { better: "higher", figures: { case: 100 } }, 99, 1, ["ms", false, "99.0 ms"]],
    ["the largest figure", { better: "lower", figures: { case: 100 } }, 99, 1, ["ms", true, "99.0 ms"]],
    [
      "a peer that broke",
      { better: "lower", floors: { peer: { within: 10 } } },
      1,
      undefined,
      ["ms behind peer", false, "NaN ms behind peer"],
    ],
  ] as const)("%s", (_, promised, own, peer, verdict) => {
    expect(judged(promised, own, peer)).toEqual([verdict]);
  });

  test("of another result nothing", () => {
    expect(judged({ better: "lower", figures: { "case-other": 1 } }, 5)).toEqual([]);
  });
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

import { execFile } from "node:child_process";
import { promisify } from "node:util";

const mebibyte = 1024 * 1024;

/** What most of a process's young generations survive makes V8 let it grow; printed is how large it became. */
const program = (before: string) => `
  import { setImmediate as turn } from "node:timers/promises";
  import { getHeapSpaceStatistics } from "node:v8";
  import { boundYoungGeneration } from ${JSON.stringify(new URL("../src/cli/young-generation.ts", import.meta.url).href)};
  ${before}
  let kept = [];
  for (let round = 0; round < 800; round++) {
    for (let index = 0; index < 5_000; index++) kept.push({ round, list: [index] });
    if (kept.length > 60_000) kept = [];
    await turn();
  }
  console.log(getHeapSpaceStatistics().find((space) => space.space_name === "new_space").space_size);
`;

async function youngBytes(before: string, flags: readonly string[] = []): Promise<number> {
  const args = [...flags, "--input-type=module", "--eval", program(before)];
  return Number((await promisify(execFile)(process.execPath, args)).stdout);
}

test("a serving process keeps its young generation at 32 MiB, where Node lets it have more", async () => {
  expect(await youngBytes("")).toBeGreaterThan(32 * mebibyte);
  expect(await youngBytes("boundYoungGeneration();")).toBeLessThanOrEqual(32 * mebibyte);
});

test("who tells Node how large it may be is obeyed", async () => {
  expect(await youngBytes("boundYoungGeneration();", ["--max-semi-space-size=64"])).toBeGreaterThan(32 * mebibyte);
});

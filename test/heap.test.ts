import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { root } from "./support/process.ts";

const run = promisify(execFile);

/** A process of its own: what the tests hold is nobody's leak. */
test("200,000 mixed calls leave nothing behind: the heap is within 10 % of where it was after 20,000", async () => {
  const program = join(root, "test/fixtures/wire/mixed-calls.ts");
  const { stdout } = await run(process.execPath, ["--expose-gc", program], { timeout: 150_000 });
  const result = JSON.parse(stdout);
  expect(result.after).toBeLessThan(result.before * 1.1);
  expect(result.inFlight).toBe(0);
  expect(result.cancelled).toBeGreaterThan(40_000); // some that are cancelled have ended before
  expect(result.failed).toBeGreaterThan(10_000);
  expect(result.vanished).toBeGreaterThan(300);
}, 180_000);

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, Status } from "../src/index.ts";
import { convoke, type Process, root, runConvoke } from "./support/process.ts";

const payer = join(root, "test/fixtures/cli/payer.ts");

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "convoke-approvals-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const paid = () => (existsSync(join(folder, "paid")) ? readFileSync(join(folder, "paid"), "utf8") : "");

async function start(): Promise<{ process: Process; url: string }> {
  const args = ["serve", payer, "--port", "0", "--log-level", "silent", "--data", folder];
  const process = convoke(args, { env: { PAID: join(folder, "paid") } });
  const [, url = ""] = await process.seen(/ on (http:\S+)\n/);
  return { process, url };
}

async function stop({ process }: { process: Process }, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  process.child.kill(signal);
  await process.exit;
}

/** A task that waits for leave to pay. */
async function ask(url: string, taskId: string): Promise<void> {
  const agents = connect(url);
  const { status } = await agents.process({ taskId, content: "5" });
  agents.close();
  expect(status).toBe(Status.REQUIRES_INPUT);
}

const tasks = (part: string, url: string, ...args: readonly string[]) => runConvoke(["tasks", part, url, ...args]);

test("an approval outlives kill -9 of its server, and is answered at another one", async () => {
  const [one, other] = [await start(), await start()];
  await ask(one.url, "t");
  await stop(one, "SIGKILL");
  const shown = await tasks("show", other.url, "t");
  expect(shown.stdout).toMatch(/status +waits for input\n/);
  expect(shown.stdout).toMatch(/asks +May agent "payer" call the tool "pay"\? \{"amount":5\} \(\S+\)\n/);
  expect(paid()).toBe("");
  const answered = await tasks("answer", other.url, "t", "--approve", "--text", "go on");
  expect(answered).toMatchObject({ code: 0, stderr: "" });
  expect(answered.stdout).toMatch(/approved: go on\n[\s\S]*It is paid\.\n/);
  expect(paid()).toBe("5\n");
  await stop(other);
});

test("… also when the servers are all killed, and one comes back", async () => {
  const one = await start();
  await ask(one.url, "t");
  await stop(one, "SIGKILL");
  const again = await start();
  const denied = await tasks("answer", again.url, "t", "--deny", "--text", "too dear");
  expect(denied.stderr).toBe('convoke: the call of tool "pay" was not approved: too dear (permission_denied)\n');
  expect(paid()).toBe("");
  const late = await tasks("answer", again.url, "t", "--approve");
  expect([late.code, late.stderr]).toEqual([2, expect.stringContaining('task "t" asks nobody for anything')]);
  await stop(again);
});

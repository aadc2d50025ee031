import { sendOneTask } from "./fault/one-run.ts";
import { createProcesses } from "./fault/processes.ts";
import { sleepOverLease } from "./fault/stale-lease.ts";
import { seed } from "./support/random.ts";

const processes = createProcesses();

afterEach(() => processes.stop());

test("one task that two processes send to two servers of one store runs once, and all have its answer", async () => {
  const size = { servers: 2, callers: 2, sends: 100, withinMs: 1_000 };
  const { runs, answers, failures } = await sendOneTask(processes, { ...size, seed });
  expect([...failures]).toEqual([]);
  expect([...answers.values()]).toEqual([size.sends]);
  expect(runs).toBe(1);
}, 60_000);

test("what a server that slept over its lease (SIGSTOP) had under way is refused, and readers at both servers see the same", async () => {
  const { restarted, lost, late } = await sleepOverLease(processes);
  expect(late).toEqual({ taken: 0, refused: 2 });
  for (const { seen, entries } of [restarted, lost]) {
    expect(seen).toEqual(Array(seen.length).fill(seen[0]));
    expect(entries.filter((entry) => entry.startsWith("sleeper"))).toEqual([]);
  }
  expect(restarted.entries.slice(0, 2)).toEqual(["restart", "successor 0;"]);
  expect(lost.entries).toEqual(["finish"]);
  expect(lost.seen[0]?.at(-1)).toMatch(/^Unavailable: the server that ran task "task-plain" has died/);
}, 60_000);

import { createProcesses } from "./fault/processes.ts";
import type { Harm } from "./fault/proxy.ts";
import { resumeStreams } from "./fault/resume.ts";

const processes = createProcesses();

afterEach(() => processes.stop());

const size = { seed: 1, streams: 20, tokens: 100, paceMs: 10, clients: 10, harmForMs: 3_000 };

test.each<[harms: readonly [Harm, ...Harm[]], harmlessBytes: number]>([
  [["cut", "corruption", "duplicate"], 6_000],
  [["stall"], 60_000],
])(
  "20 streams over connections that meet %j have every token once, in order",
  async (harms, harmlessBytes) => {
    const resumed = await resumeStreams(processes, { ...size, harms, harmlessBytes });
    expect(resumed).toMatchObject({ failures: [], whole: size.streams, runs: size.streams, tasks: size.streams });
    for (const harm of harms) expect(resumed.harms[harm]).toBeGreaterThan(0);
    expect(resumed.resumes).toBeGreaterThan(0);
  },
  60_000,
);

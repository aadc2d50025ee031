import { existsSync, readFileSync } from "node:fs";
import type { Lease } from "../src/contract/index.ts";
import { convoke } from "./support/process.ts";
import { type RegistryClient, register, registryClient } from "./support/registry.ts";

const agents = 10_000;
const capabilities = 100;

/** Milliseconds of processor time that a process has used: other programs of this machine do not count. */
function cpuMs(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10; // user and system time, in ticks of 10 ms (proc(5))
}

/** Does it for each number below `count`, some at a time. */
async function forEach(count: number, work: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: 50 }, worker));
}

async function registerAll(client: RegistryClient): Promise<Lease[]> {
  const leases: Lease[] = [];
  await forEach(agents, async (index) => {
    const capability = `capability-${index % capabilities}`;
    const url = `http://10.0.${index >> 8}.${index & 255}:50051`;
    leases.push(await register(client, { name: `agent-${index}`, capabilities: [capability, "all"], url, ttlMs: 300_000 }));
  });
  return leases;
}

const describeOnLinux = existsSync("/proc/self/stat") ? describe : describe.skip;

describeOnLinux(`${agents} registrations (on Linux, where /proc tells a process's time)`, () => {
  /** Bounds that only a scan of all registrations exceeds; what is promised is measured by `npm run fault -- registry-scale`. */
  test("Discover looks at those that it is asked for, and a renewal at its own", async () => {
    const registry = convoke(["registry", "--port", "0", "--log-level", "warn"]);
    const [, url = ""] = await registry.seen(/A registry runs on (\S+)\n/);
    const client = registryClient(url);
    const leases = await registerAll(client);
    const { pid } = registry.child;

    const queries: ((call: number) => object)[] = [
      (call) => ({ capability: `capability-${call % capabilities}` }),
      () => ({ capability: "all", versionRange: "^1" }),
    ];
    for (const query of queries) {
      const calls = 500;
      for (let call = 0; call < 100; call++) await client.discover(query(call));
      const before = cpuMs(pid);
      for (let call = 0; call < calls; call++) expect((await client.discover(query(call))).agents).toHaveLength(100);
      expect((cpuMs(pid) - before) / calls).toBeLessThan(25);
    }

    const renewAll = () =>
      forEach(agents, async (index) => {
        const { id: leaseId = "", revision = 0n } = leases[index] ?? {};
        await client.renew({ leaseId, revision, load: { inFlight: Math.trunc(Math.random() * 50), capacity: 100 } });
      });
    await renewAll();
    const before = cpuMs(pid);
    await renewAll();
    expect(cpuMs(pid) - before).toBeLessThan(5_000);
  });
});

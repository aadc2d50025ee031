import type { Lease } from "../src/contract/index.ts";
import { convoke } from "./support/process.ts";
import { type RegistryClient, register, registryClient } from "./support/registry.ts";

const agents = 10_000;
const capabilities = 100;

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

/** How long that takes is measured by `npm run fault -- registry-scale`. */
test(`of ${agents} registrations Discover gives those that are asked for, and all can be renewed`, async () => {
  const registry = convoke(["registry", "--port", "0", "--log-level", "warn"]);
  const [, url = ""] = await registry.seen(/A registry runs on (\S+)\n/);
  const client = registryClient(url);
  const leases = await registerAll(client);
  for (let index = 0; index < capabilities; index++) {
    const capability = `capability-${index}`;
    const found = (await client.discover({ capability })).agents;
    expect(found).toHaveLength(agents / capabilities);
    expect(found.every(({ registration }) => registration?.agent?.capabilities.includes(capability))).toBe(true);
  }
  expect((await client.discover({ capability: "all", versionRange: "^1" })).agents).toHaveLength(100); // as many as nobody chose
  await forEach(agents, async (index) => {
    const { id: leaseId = "", revision = 0n } = leases[index] ?? {};
    const { lease } = await client.renew({ leaseId, revision, load: { inFlight: index % 50, capacity: 100 } });
    expect(lease?.revision).toBe(revision);
  });
});

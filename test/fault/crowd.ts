/**
 * Many registrants, as one process: as many renewals a second as they would make, each after half of its lease's time, with how busy it is.
 *
 * Usage: crowd.ts REGISTRY COUNT, started with an IPC channel: it says `{}` when all are registered, and answers what it is told with
 * {@link Renewals}. Registrant n can do `one-of-ten-` and n modulo COUNT / 10, and `one-of-hundred-` and n modulo COUNT / 100.
 */
import { createClient } from "@connectrpc/connect";
import { AgentService, type Lease, RegistryService } from "../../src/contract/index.ts";
import { registryBounds } from "../../src/core/index.ts";
import { contractOf } from "../../src/registry/index.ts";
import { createTransport } from "../../src/wire/index.ts";
import { kindsOf, startLoad } from "./load.ts";

/** Renewals until now. */
export interface Renewals {
  readonly count: number;
  /** Those that failed, in words; empty when none did. */
  readonly failures: string;
}

const connections = 4;
const registersAtOnce = 50;

const [baseUrl = "", total = ""] = process.argv.slice(2);
const count = Number(total);
const clients = Array.from({ length: connections }, () => createClient(RegistryService, createTransport({ baseUrl })));
const contract = contractOf([AgentService]);
const leases: Lease[] = [];

/** Any of the clients, so that their connections share the work. */
function clientOf(index: number) {
  const client = clients[index % connections];
  if (client === undefined) throw new Error("there are as many clients as connections");
  return client;
}

async function register(index: number): Promise<void> {
  const { lease } = await clientOf(index).register({
    registration: {
      agent: {
        name: `agent-${index}`,
        description: "One of very many, which says in one sentence what it can do.",
        capabilities: [`one-of-ten-${index % (count / 10)}`, `one-of-hundred-${index % (count / 100)}`],
        version: "1.4.0",
      },
      endpoints: [{ url: `http://10.${index >> 16}.${(index >> 8) & 255}.${index & 255}:50051`, zone: `zone-${index % 3}` }],
      identity: `spiffe://example.org/agent-${index}`,
      contractSha256: contract.sha256,
    },
    ...(index === 0 && { contract }), // the others' is known by then
  });
  if (lease === undefined) throw new Error("Register gives a lease");
  leases[index] = lease;
}

async function registerAll(): Promise<void> {
  await register(0);
  let next = 1;
  const worker = async () => {
    while (next < count) await register(next++);
  };
  await Promise.all(Array.from({ length: registersAtOnce }, worker));
}

await registerAll();

let next = 0;
const perSecond = count / (registryBounds.ttlMs / 2 / 1_000);
const load = startLoad(perSecond, async () => {
  const index = next++ % count;
  const { id: leaseId = "", revision = 0n } = leases[index] ?? {};
  await clientOf(index).renew({ leaseId, revision, load: { inFlight: Math.trunc(Math.random() * 100), capacity: 100 } });
  return "renewed";
});

process.on("message", () => {
  const renewals: Renewals = { count: load.answers.get("renewed") ?? 0, failures: kindsOf(load.failures) };
  process.send?.(renewals);
});
process.on("disconnect", () => process.exit()); // nobody needs it any more
process.send?.({});

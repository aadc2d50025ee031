import { X509Certificate } from "node:crypto";
import { type AgentEndpoint, type Agents, connect, contractDifferences, createRegistrySource, verifySpiffeId } from "convoke";
import { AgentService } from "convoke/contract";
import { certificatesOf } from "../certificates.ts";

const timeoutMs = 30_000;
const { client: tls } = certificatesOf("orchestrator");

/** Finds who can do something, and that it serves a contract that we can call. */
export async function discover(capability: string, registry: string, say: (line: string) => void): Promise<AgentEndpoint> {
  const source = createRegistrySource({ registry, tls });
  try {
    for await (const [endpoint] of source.watch({ capability }, { signal: AbortSignal.timeout(timeoutMs) })) {
      if (endpoint === undefined) continue; // it may be there soon
      say(`discovers "${capability}": ${endpoint.agent} at ${endpoint.url}`);
      const contract = source.contract(endpoint.contractSha256);
      if (contract === undefined) throw new Error(`the contract ${endpoint.contractSha256} is not known`);
      const [difference] = contractDifferences(AgentService, contract);
      if (difference !== undefined) throw new Error(`${difference.path} ${difference.problem}`);
      say(`has its contract ${endpoint.contractSha256}, which lacks nothing of ${AgentService.typeName}`);
      return endpoint;
    }
    throw new Error("the registry's watch has ended"); // it does not, but by its signal
  } finally {
    source.close();
  }
}

/**
 * The agent there. `connect({ registry })` finds and checks by itself, and balances over all that there are; this is the same for one endpoint, step by
 * step, so that each can be seen.
 */
export function reach({ url, agent, identity }: AgentEndpoint, say: (line: string) => void): Agents {
  const verify = verifySpiffeId(identity);
  const [, own] = /URI:([^,]+)/.exec(new X509Certificate(tls.cert).subjectAltName ?? "") ?? [];
  const verifyPeer = (certificate: X509Certificate) => {
    verify(certificate);
    say(`shakes hands as ${own} with ${identity}`);
  };
  return connect({ url, agent, timeoutMs, tls: { ...tls, verifyPeer } });
}

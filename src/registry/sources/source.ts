import type { FileRegistry } from "@bufbuild/protobuf";
import type { Load, RegisteredAgent } from "../../contract/index.ts";
import type { AgentQuery } from "../select.ts";

/** One address at which an agent answers. */
export interface AgentEndpoint {
  /** Scheme, host and port. */
  readonly url: string;
  /** The agent's name, to call it by; empty where the source does not know it, which is the server's default agent. */
  readonly agent: string;
  /** The agent's version; empty where it is not known. */
  readonly version: string;
  /** Where it stands; empty where it is not known. */
  readonly zone: string;
  /** How much it can take beside others: 1 to 1,000. */
  readonly weight: number;
  /** The SPIFFE ID that it must prove before the first byte goes out; empty where it has to prove none. */
  readonly identity: string;
  /** The contract that it serves; empty where it is not known. */
  readonly contractSha256: string;
  /** How busy it last said that it was. */
  readonly load: Load | undefined;
}

/**
 * Where endpoints come from: a registry, DNS or a list. Whoever needs one asks it and knows none of the three.
 *
 * A source that cannot be asked now gives what it knew last, and fails only when it never knew anything.
 */
export interface EndpointSource {
  /**
   * The endpoints that a query asks for, those of its zone first; none when there are none.
   *
   * @throws ConnectError INVALID_ARGUMENT for a range of versions that is none; UNAVAILABLE when the source is away and knows nothing yet; what
   *   `signal` is aborted with.
   */
  discover(query: AgentQuery, options?: { readonly signal?: AbortSignal }): Promise<readonly AgentEndpoint[]>;
  /**
   * The same, whole, each time that it has changed; the first time when it is known. A slow reader gets the latest. No limit but the query's.
   *
   * @throws what `signal` is aborted with, and INVALID_ARGUMENT; it does not end otherwise, also when the source is away.
   */
  watch(query: AgentQuery, options: { readonly signal: AbortSignal }): AsyncIterable<readonly AgentEndpoint[]>;
  /** The services and messages of a contract that an endpoint of this source serves; undefined where they are not known. */
  contract(sha256: string): FileRegistry | undefined;
  /** Lets go of connections and timers; watches end with CANCELLED. */
  close(): void;
}

/** The endpoints of some agents, in their order; of one agent, those of the zone first. */
export function endpointsOf(agents: Iterable<RegisteredAgent>, { zone = "" }: AgentQuery): AgentEndpoint[] {
  const near: AgentEndpoint[] = [];
  const far: AgentEndpoint[] = [];
  for (const { registration, load } of agents) {
    for (const endpoint of registration?.endpoints ?? []) {
      const { identity = "", contractSha256 = "" } = registration ?? {};
      const { name: agent = "", version = "" } = registration?.agent ?? {};
      const { url, weight } = endpoint;
      const isNear = zone !== "" && endpoint.zone === zone;
      const told = { url, agent, version, zone: endpoint.zone, weight: Math.max(1, weight), identity, contractSha256, load };
      (isNear ? near : far).push(told);
    }
  }
  return [...near, ...far];
}

import type { FileRegistry } from "@bufbuild/protobuf";
import type { Contract } from "../../contract/index.ts";
import {
  type BackoffOptions,
  cancelled,
  createBackoff,
  invalidArgument,
  registryBounds,
  resourceExhausted,
} from "../../core/index.ts";
import { readContract } from "../contract.ts";
import { createRegistryLink, type RegistryAddress, type RegistryLink } from "../link.ts";
import { type AgentQuery, queryViolations, selectAgents } from "../select.ts";
import { RegistryFollower } from "./registry-follower.ts";
import { type EndpointSource, endpointsOf } from "./source.ts";

export interface RegistrySourceOptions extends RegistryAddress {
  /** How long it waits before it asks a registry that is away again. Default 1 s × 1.6 ± 20 %, at most 5 s. */
  readonly backoff?: BackoffOptions;
}

/**
 * Endpoints out of a registry. The first query of a capability or agent begins to follow it, so that later ones cost no call; at most 256 are
 * followed, and those that nobody watches leave first. What was known last stays while the registry is away.
 *
 * @throws TypeError when an address of the registry is none.
 */
export function createRegistrySource(options: RegistrySourceOptions): EndpointSource {
  const link = createRegistryLink(options);
  const source = new RegistrySource(link, options.backoff);
  return {
    async discover(query, { signal } = {}) {
      check(query);
      const follower = source.follow(query);
      await follower.ready(signal);
      return endpointsOf(selectAgents(follower.agents.value ?? [], query), query);
    },
    async *watch(query, { signal }) {
      check(query);
      const limit = query.limit || registryBounds.maxKnown;
      const ends = AbortSignal.any([signal, source.closed]);
      for await (const agents of source.follow(query).agents.read(ends)) {
        yield endpointsOf(selectAgents(agents, { ...query, limit }), query);
      }
    },
    contract: (sha256) => source.contract(sha256),
    close: () => source.close(),
  };
}

function check(query: AgentQuery): void {
  const violations = queryViolations(query);
  if (violations.length > 0) throw invalidArgument(violations);
}

class RegistrySource {
  readonly #link: RegistryLink;
  readonly #backoff: BackoffOptions | undefined;
  readonly #closed = new AbortController();
  /** By what they follow; the one that was asked for the longest ago comes first. */
  readonly #followers = new Map<string, RegistryFollower>();
  /** Contracts as they came, and once somebody has asked for them, read. */
  readonly #contracts = new Map<string, Contract | FileRegistry>();

  constructor(link: RegistryLink, backoff: BackoffOptions | undefined) {
    this.#link = link;
    this.#backoff = backoff;
  }

  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  follow({ capability = "", agent = "" }: AgentQuery): RegistryFollower {
    this.#closed.signal.throwIfAborted();
    const key = `${capability}\n${agent}`;
    const follower = this.#followers.get(key) ?? this.#begin({ capability, agent });
    this.#followers.delete(key);
    this.#followers.set(key, follower);
    return follower;
  }

  contract(sha256: string): FileRegistry | undefined {
    const known = this.#contracts.get(sha256);
    if (known === undefined || !("$typeName" in known)) return known;
    try {
      const read = readContract(known);
      this.#contracts.set(sha256, read);
      return read;
    } catch {
      return undefined; // what cannot be read is not known
    }
  }

  close(): void {
    const reason = cancelled("the source of endpoints was closed");
    this.#closed.abort(reason);
    for (const follower of this.#followers.values()) follower.stop(reason);
    this.#link.close();
  }

  #begin(query: { capability: string; agent: string }): RegistryFollower {
    this.#makeRoom();
    return new RegistryFollower({
      link: this.#link,
      query,
      backoff: createBackoff({ maxMs: registryBounds.maxAwayMs, ...this.#backoff }),
      onContract: (contract) => {
        this.#contracts.set(contract.sha256, contract);
        const [oldest] = this.#contracts.keys();
        if (this.#contracts.size > registryBounds.maxContracts && oldest !== undefined) this.#contracts.delete(oldest);
      },
    });
  }

  #makeRoom(): void {
    if (this.#followers.size < registryBounds.maxQueries) return;
    for (const [key, follower] of this.#followers) {
      if (follower.agents.followers > 0) continue;
      this.#followers.delete(key);
      follower.stop(cancelled("other queries were asked more often"));
      return;
    }
    const description = `${registryBounds.maxQueries} queries are watched, the most allowed`;
    throw resourceExhausted({ subject: "queries", description });
  }
}

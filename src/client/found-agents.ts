import type { Transport } from "@connectrpc/connect";
import { reachBounds, resourceExhausted } from "../core/index.ts";
import { verifySpiffeId } from "../identity/index.ts";
import type { AgentEndpoint, AgentQuery, EndpointSource } from "../registry/index.ts";
import type { CallDefaults } from "../web/index.ts";
import { type ClientTls, type ClientTlsOptions, currentTls, isLoopbackName } from "../wire/index.ts";
import { createAgents, type ReachedAgents } from "./agents.ts";
import { createTarget, type Target } from "./reach/balanced-transport.ts";
import { discoveredFeed } from "./reach/discovered-feed.ts";
import type { Endpoint } from "./reach/feed.ts";
import { type BalancedTransportOptions, resolveReach } from "./reach/options.ts";
import { SessionPool } from "./reach/session-pool.ts";

/** What else an agent has to be, beside its name or capability. */
export type FindOptions = Pick<AgentQuery, "versionRange" | "contractSha256">;

/** The agents of many servers, each call answered where it is answered best. */
export interface FoundAgents {
  /** The agents that can do this. Nothing is asked before the first call; none is UNAVAILABLE, as there may be one later. */
  capability(name: string, options?: FindOptions): ReachedAgents;
  /** The agents of this name. */
  agent(name: string, options?: FindOptions): ReachedAgents;
  /**
   * The endpoints that there are now.
   *
   * @throws ConnectError INVALID_ARGUMENT for a range of versions that is none; UNAVAILABLE when the registry is away and nothing is known yet.
   */
  discover(query: AgentQuery, options?: { signal?: AbortSignal }): Promise<readonly AgentEndpoint[]>;
  /**
   * The endpoints, whole, now and each time that they have changed.
   *
   * @throws what `signal` is aborted with, and as {@link FoundAgents.discover}; it does not end otherwise.
   */
  watch(query: AgentQuery, options: { signal: AbortSignal }): AsyncIterable<readonly AgentEndpoint[]>;
  /** Closes the connections; calls in flight end with CANCELLED. */
  close(): void;
}

export interface FoundAgentsOptions {
  readonly source: EndpointSource;
  readonly reach: Omit<BalancedTransportOptions, "endpoints" | "tls">;
  readonly tls: ClientTls | undefined;
  readonly defaults: CallDefaults;
}

/** The agents that a source finds. The source is closed with them. */
export function createFoundAgents({ source, reach, tls, defaults }: FoundAgentsOptions): FoundAgents {
  const tlsOf = tlsFor(tls);
  const hasCredentials = new Headers(defaults.metadata).has("authorization");
  const checked = (endpoint: Endpoint) => {
    if (hasCredentials) checkSecret(endpoint);
    return tlsOf(endpoint);
  };
  const targets = new Targets(source, { ...reach, tls: checked });
  const find = (query: AgentQuery) => {
    const transport: Transport = {
      unary: (...args) => targets.get(query).unary(...args),
      stream: (...args) => targets.get(query).stream(...args),
    };
    const { agent = "", capability = "" } = query;
    return createAgents(transport, { ...defaults, agent, capability });
  };
  return {
    capability: (capability, options) => find({ ...options, capability }),
    agent: (agent, options) => find({ ...options, agent }),
    discover: (query, options) => source.discover(query, options),
    watch: (query, options) => source.watch(query, options),
    close: () => targets.close(),
  };
}

/** Whose address the caller has not chosen gets no credentials that others could read on the way. @throws TypeError for such an endpoint. */
function checkSecret({ url }: Endpoint): void {
  const { protocol, host } = new URL(url);
  if (protocol === "https:" || isLoopbackName(host)) return;
  throw new TypeError(`${url} would get the authorization header in clear text`);
}

/** Whoever has to prove who it is does so with its certificate, whatever its host is called. */
export function tlsFor(tls: ClientTls | undefined): (endpoint: Endpoint) => ClientTlsOptions {
  return ({ identity }) => {
    const options = currentTls(tls ?? {});
    return identity === undefined ? options : { ...options, verifyPeer: verifySpiffeId(identity) };
  };
}

/** One target a query, all over the same connections. */
class Targets {
  readonly #source: EndpointSource;
  readonly #reach: Omit<BalancedTransportOptions, "endpoints">;
  readonly #pool = new SessionPool();
  /** The one that was called the longest ago comes first. */
  readonly #targets = new Map<string, Target>();

  constructor(source: EndpointSource, reach: Omit<BalancedTransportOptions, "endpoints">) {
    this.#source = source;
    this.#reach = reach;
  }

  get(query: AgentQuery): Target {
    const key = JSON.stringify([query.capability, query.agent, query.versionRange, query.contractSha256]);
    const target = this.#targets.get(key) ?? this.#create(query);
    this.#targets.delete(key);
    this.#targets.set(key, target);
    return target;
  }

  close(): void {
    for (const target of this.#targets.values()) target.close();
    this.#pool.close();
    this.#source.close();
  }

  #create(query: AgentQuery): Target {
    this.#makeRoom();
    return createTarget(resolveReach({ ...this.#reach, endpoints: discoveredFeed(this.#source, query) }, this.#pool));
  }

  #makeRoom(): void {
    if (this.#targets.size < reachBounds.maxTargets) return;
    for (const [key, target] of this.#targets) {
      if (!target.idle) continue;
      this.#targets.delete(key);
      target.close();
      return;
    }
    const description = `${reachBounds.maxTargets} capabilities and agents are being called, the most allowed`;
    throw resourceExhausted({ subject: "targets", description });
  }
}

import { createDnsSource, createRegistrySource, type DnsSourceOptions, type RegistryAddress } from "../registry/index.ts";
import type { CallDefaults } from "../web/index.ts";
import { type ClosableTransport, createTransport, type TransportOptions } from "../wire/index.ts";
import { createAgents, type ReachedAgents } from "./agents.ts";
import { createFoundAgents, type FoundAgents, tlsFor } from "./found-agents.ts";
import { createBalancedTransport } from "./reach/balanced-transport.ts";
import { discoveredFeed } from "./reach/discovered-feed.ts";
import type { BalancedTransportOptions } from "./reach/options.ts";

/** What holds for every call, to one server or to several. */
interface SharedOptions
  extends CallDefaults,
    Pick<TransportOptions, "protocol" | "connectTimeoutMs" | "keepaliveMs" | "keepaliveTimeoutMs"> {}

/** How to reach one server. */
export interface ServerOptions extends SharedOptions, Pick<TransportOptions, "tls"> {
  /** The server: `http://host:port`, `https://host:port`, or `host:port` for HTTP/2 without TLS. */
  readonly url: string;
}

/** How calls go to several servers; see {@link createBalancedTransport}. */
type ReachOptions = Pick<
  BalancedTransportOptions,
  "zone" | "balancing" | "health" | "retry" | "attemptTimeoutMs" | "hedging" | "waitForReady"
>;

/** How to reach several servers with the same agents. */
export interface ServersOptions extends SharedOptions, ReachOptions, Pick<BalancedTransportOptions, "tls"> {
  /** The servers, each as `url` is written. */
  readonly urls: readonly string[];
}

/** How to reach the servers that a name stands for, which have the same agents. */
export interface DnsOptions extends SharedOptions, ReachOptions, Pick<TransportOptions, "tls"> {
  /**
   * The name and port: its A and AAAA records are the servers, as of a headless service of Kubernetes. Without a port, its SRV records are. They are
   * called over https if there is a `tls`, unless an object says otherwise. It says more, too, such as the SPIFFE ID that they have to prove.
   */
  readonly dns: string | DnsSourceOptions;
}

/**
 * How to reach the agents that a registry knows. `metadata` goes to the registry, too; with an `authorization` header in it, servers on
 * other machines are called over https alone.
 */
export interface RegistryOptions extends Omit<SharedOptions, "agent" | "capability">, ReachOptions, RegistryAddress {}

export type ConnectOptions = ServerOptions | ServersOptions | DnsOptions;

/** The agents of a server, or of several with the same ones. */
export interface Agents extends ReachedAgents {
  agent(name: string): Agents;
  capability(name: string): Agents;
  /** Closes the connections, which else keep the process alive for a while; calls in flight end with CANCELLED. */
  close(): void;
}

/**
 * The agents of a server (`url`), of several servers that have the same ones (`urls`, `dns`), or all that a registry knows (`registry`). Nothing is
 * sent before the first call.
 *
 * With `url` all calls share one HTTP/2 connection. Else they are balanced; a task that is sent to another server, because its own has died, is not
 * run twice where the servers share a store. A server whose record in the registry names an identity has to prove
 * it before a call is sent, and a call that uses what a server's contract lacks is FAILED_PRECONDITION.
 *
 * @throws TypeError when an address is none, RangeError for any other option that cannot be.
 */
export function connect(options: RegistryOptions): FoundAgents;
export function connect(options: string | ConnectOptions): Agents;
export function connect(options: string | ConnectOptions | RegistryOptions): Agents | FoundAgents {
  if (typeof options === "string") return connectServer({ url: options });
  if ("registry" in options) return connectRegistry(options);
  if ("dns" in options) return connectDns(options);
  return "urls" in options ? connectServers(options) : connectServer(options);
}

function connectServer({ url, ...options }: ServerOptions): Agents {
  const [defaults, wire] = apart(options);
  const transport = createTransport({ ...wire, baseUrl: baseUrlOf(url) });
  return closable(createAgents(transport, defaults), transport);
}

function connectServers({ urls, ...options }: ServersOptions): Agents {
  if (urls.length === 0) throw new TypeError("urls is empty; name at least one server");
  const [defaults, reach] = apart(options);
  const transport = createBalancedTransport({ ...reach, endpoints: urls.map(baseUrlOf) });
  return closable(createAgents(transport, defaults), transport);
}

function connectDns({ dns, tls, ...options }: DnsOptions): Agents {
  const [defaults, reach] = apart(options);
  const scheme = tls === undefined ? "http" : "https";
  const source = createDnsSource({ scheme, ...(typeof dns === "string" ? parseDns(dns) : dns) });
  const transport = createBalancedTransport({ ...reach, tls: tlsFor(tls), endpoints: discoveredFeed(source, {}) });
  const close = () => {
    transport.close();
    source.close();
  };
  return closable(createAgents(transport, defaults), { close });
}

function connectRegistry({ registry, tls, ...options }: RegistryOptions): FoundAgents {
  const [defaults, reach] = apart(options);
  const { metadata } = defaults;
  const source = createRegistrySource({ registry, ...(tls && { tls }), ...(metadata && { metadata }) });
  return createFoundAgents({ source, reach, tls, defaults });
}

/** What is said of calls, and what of the way that they go. */
function apart<T extends CallDefaults>(options: T): [CallDefaults, Omit<T, keyof CallDefaults>] {
  const { agent, capability, budget, timeoutMs, metadata, detached, resumeForMs, onResume, guardrails, ...reach } = options;
  const defaults = { agent, capability, budget, timeoutMs, metadata, detached, resumeForMs, onResume, guardrails };
  const said = Object.entries(defaults).filter(([, value]) => value !== undefined);
  return [Object.fromEntries(said), reach];
}

function closable(agents: ReachedAgents, { close }: Pick<ClosableTransport, "close">): Agents {
  return {
    ...agents,
    agent: (name) => closable(agents.agent(name), { close }),
    capability: (name) => closable(agents.capability(name), { close }),
    close,
  };
}

function parseDns(text: string): DnsSourceOptions {
  const [, name = "", port] = /^([^:/]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (name === "") throw new TypeError(`"${text}" is no name; write name:port, or a name that has SRV records`);
  return { name, ...(port !== undefined && { port: Number(port) }) };
}

function baseUrlOf(url: string): string {
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(url) ? url : `http://${url.startsWith(":") ? `127.0.0.1${url}` : url}`;
  const parsed = URL.canParse(withScheme) ? new URL(withScheme) : undefined;
  if (parsed !== undefined && /^https?:$/.test(parsed.protocol) && parsed.hostname !== "") return parsed.origin;
  throw new TypeError(`"${url}" is no server; write http://host:port, https://host:port or host:port`);
}

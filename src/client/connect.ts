import { createClient, type Transport } from "@connectrpc/connect";
import { AgentService } from "../contract/index.ts";
import { type AgentCalls, type CallDefaults, createAgentCalls } from "../web/index.ts";
import { type ClosableTransport, createTransport, type TransportOptions } from "../wire/index.ts";
import { type Chat, type ConverseOptions, converse } from "./converse.ts";

/** How to reach the server, and what holds for every call. */
export interface ConnectOptions extends CallDefaults, Partial<Pick<TransportOptions, "protocol" | "tls">> {
  /** The server: `http://host:port`, `https://host:port`, or `host:port` for HTTP/2 without TLS. */
  readonly url: string;
}

/** The agents of a server, as Node calls them. */
export interface Agents extends AgentCalls {
  /** Opens a conversation; see {@link Chat}. Needs `grpc` or `connect`, as gRPC-Web carries no client streams. */
  converse(options?: ConverseOptions): Chat;
  agent(name: string): Agents;
  /** Closes the connection, which else keeps the process alive for a while; calls in flight end with CANCELLED. */
  close(): void;
}

/**
 * The agents of a server. Nothing is sent before the first call; all calls share one HTTP/2 connection.
 *
 * @throws TypeError when the URL is none, or not http or https.
 */
export function connect(options: string | ConnectOptions): Agents {
  const { url, protocol, tls, ...defaults } = typeof options === "string" ? { url: options } : options;
  const transport = createTransport({ baseUrl: baseUrlOf(url), ...(protocol && { protocol }), ...(tls && { tls }) });
  return createAgents(transport, defaults);
}

function createAgents(transport: ClosableTransport, defaults: CallDefaults): Agents {
  return {
    ...createAgentCalls(transport, defaults),
    converse: (options = {}) =>
      converse(createClient(AgentService, transport satisfies Transport), { ...defaults, ...options }),
    agent: (name) => createAgents(transport, { ...defaults, agent: name }),
    close: () => transport.close(),
  };
}

function baseUrlOf(url: string): string {
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(url) ? url : `http://${url.startsWith(":") ? `127.0.0.1${url}` : url}`;
  const parsed = URL.canParse(withScheme) ? new URL(withScheme) : undefined;
  if (parsed !== undefined && /^https?:$/.test(parsed.protocol) && parsed.hostname !== "") return parsed.origin;
  throw new TypeError(`"${url}" is no server; write http://host:port, https://host:port or host:port`);
}

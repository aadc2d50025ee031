import { randomUUID } from "node:crypto";
import { createClient, type Transport } from "@connectrpc/connect";
import { AgentService } from "../contract/index.ts";
import { type AgentCalls, type CallDefaults, createAgentCalls, type TaskInput } from "../web/index.ts";
import { type ClosableTransport, createTransport, type TransportOptions } from "../wire/index.ts";
import { type Chat, type ConverseOptions, converse } from "./converse.ts";
import { createBalancedTransport } from "./reach/balanced-transport.ts";
import type { BalancedTransportOptions } from "./reach/options.ts";

/** What holds for every call, to one server or to several. */
interface SharedOptions extends CallDefaults, Pick<TransportOptions, "protocol"> {}

/** How to reach one server. */
export interface ServerOptions extends SharedOptions, Pick<TransportOptions, "tls"> {
  /** The server: `http://host:port`, `https://host:port`, or `host:port` for HTTP/2 without TLS. */
  readonly url: string;
}

/** How to reach several servers with the same agents; the other options are those of {@link createBalancedTransport}. */
export interface ServersOptions
  extends SharedOptions,
    Pick<
      BalancedTransportOptions,
      "tls" | "zone" | "balancing" | "health" | "retry" | "attemptTimeoutMs" | "hedging" | "waitForReady"
    > {
  /** The servers, each as `url` is written. */
  readonly urls: readonly string[];
}

export type ConnectOptions = ServerOptions | ServersOptions;

/** The agents of a server, as Node calls them. */
export interface Agents extends AgentCalls {
  /** Opens a conversation; see {@link Chat}. Needs `grpc` or `connect`, as gRPC-Web carries no client streams. */
  converse(options?: ConverseOptions): Chat;
  agent(name: string): Agents;
  /** Closes the connections, which else keep the process alive for a while; calls in flight end with CANCELLED. */
  close(): void;
}

/**
 * The agents of a server, or of several servers that serve the same ones. Nothing is sent before the first call. With `url` all calls
 * share one HTTP/2 connection; with `urls` they are balanced, and a task without a `taskId` gets one, so that it can be sent again to
 * another server without being run twice where the servers share a store.
 *
 * @throws TypeError when a URL is none, or not http or https.
 */
export function connect(options: string | ConnectOptions): Agents {
  if (typeof options === "string") return connectServer({ url: options });
  return "urls" in options ? connectServers(options) : connectServer(options);
}

function connectServer({ url, protocol, tls, ...defaults }: ServerOptions): Agents {
  const transport = createTransport({ baseUrl: baseUrlOf(url), ...(protocol && { protocol }), ...(tls && { tls }) });
  return createAgents(transport, defaults, (task) => task);
}

function connectServers({ urls, agent, timeoutMs, metadata, ...options }: ServersOptions): Agents {
  if (urls.length === 0) throw new TypeError("urls is empty; name at least one server");
  const transport = createBalancedTransport({ ...options, endpoints: urls.map(baseUrlOf) });
  const defaults = {
    ...(agent !== undefined && { agent }),
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(metadata !== undefined && { metadata }),
  };
  return createAgents(transport, defaults, named);
}

function createAgents(transport: ClosableTransport, defaults: CallDefaults, prepare: (task: TaskInput) => TaskInput): Agents {
  const calls = createAgentCalls(transport, defaults);
  return {
    ...calls,
    process: (task, options) => calls.process(prepare(task), options),
    stream: (task, options) => calls.stream(prepare(task), options),
    converse: (options = {}) =>
      converse(createClient(AgentService, transport satisfies Transport), { ...defaults, ...options }),
    agent: (name) => createAgents(transport, { ...defaults, agent: name }, prepare),
    close: () => transport.close(),
  };
}

/** The task with an id: its key when it is sent again. */
function named(task: TaskInput): TaskInput {
  const request = typeof task === "string" ? { content: task } : task;
  return { ...request, taskId: request.taskId || randomUUID() };
}

function baseUrlOf(url: string): string {
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(url) ? url : `http://${url.startsWith(":") ? `127.0.0.1${url}` : url}`;
  const parsed = URL.canParse(withScheme) ? new URL(withScheme) : undefined;
  if (parsed !== undefined && /^https?:$/.test(parsed.protocol) && parsed.hostname !== "") return parsed.origin;
  throw new TypeError(`"${url}" is no server; write http://host:port, https://host:port or host:port`);
}

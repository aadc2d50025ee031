export type { ReachedAgents } from "./agents.ts";
export {
  type Agents,
  type ConnectOptions,
  connect,
  type DnsOptions,
  type RegistryOptions,
  type ServerOptions,
  type ServersOptions,
} from "./connect.ts";
export type { Chat, ConverseOptions } from "./converse.ts";
export type { FindOptions, FoundAgents } from "./found-agents.ts";
export { createBalancedTransport } from "./reach/balanced-transport.ts";
export { type CallPolicy, callPolicy } from "./reach/call-policy.ts";
export { discoveredFeed } from "./reach/discovered-feed.ts";
export { type Endpoint, type EndpointFeed, type EndpointListener, staticFeed } from "./reach/feed.ts";
export type { BalancedTransportOptions, HedgingOptions } from "./reach/options.ts";
export type { RetryOptions } from "./reach/retry.ts";
export type { TaskCallOptions } from "./task-call-options.ts";
export type { ThreadVerifyOptions, VerifiedThread } from "./verified-thread.ts";

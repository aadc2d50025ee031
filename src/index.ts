/** Convoke: agents that call each other. */
export { Code, ConnectError } from "@connectrpc/connect";
export {
  type Agent,
  type AgentCard,
  type AgentContext,
  type AgentDefinition,
  type AgentDirectory,
  type AgentHandle,
  type Conversation,
  citation,
  defineAgent,
  type Task,
  type Turn,
  toolCall,
  usage,
  type Yield,
} from "./agent/index.ts";
export {
  type Agents,
  type BalancedTransportOptions,
  type CallPolicy,
  type Chat,
  type ConnectOptions,
  type ConverseOptions,
  callPolicy,
  connect,
  createBalancedTransport,
  type Endpoint,
  type EndpointListener,
  type EndpointSource,
  type HedgingOptions,
  type RetryOptions,
  type ServerOptions,
  type ServersOptions,
  staticSource,
} from "./client/index.ts";
export { SourceRange_Unit, Status } from "./contract/index.ts";
export { type AgentEvent, defaultLimits, type Limits } from "./core/index.ts";
export { type ServeOptions, type Server, serve } from "./server/index.ts";
export type { LogOptions } from "./telemetry/index.ts";
export type { CallOptions, TaskInput } from "./web/index.ts";
export type { CorsOptions, TlsOptions } from "./wire/index.ts";

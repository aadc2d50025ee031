/** Convoke: agents that call each other. */
export { Code, ConnectError } from "@connectrpc/connect";
export {
  type Agent,
  type AgentCard,
  type AgentContext,
  type AgentDefinition,
  type AgentDirectory,
  type AgentHandle,
  type AskOptions,
  type Conversation,
  citation,
  defineAgent,
  type Task,
  type TaskCaller,
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
  type DnsOptions,
  discoveredFeed,
  type Endpoint,
  type EndpointFeed,
  type EndpointListener,
  type FindOptions,
  type FoundAgents,
  type HedgingOptions,
  type ReachedAgents,
  type RegistryOptions,
  type RetryOptions,
  type ServerOptions,
  type ServersOptions,
  staticFeed,
} from "./client/index.ts";
export { SourceRange_Unit, Status } from "./contract/index.ts";
export { type AgentEvent, type Budget, defaultLimits, type Hop, type Limits, type TraceContext } from "./core/index.ts";
export {
  type CallerIdentity,
  createTokenVerifier,
  definePolicy,
  type Policy,
  type PolicyRule,
  parsePolicy,
  type TokenOptions,
  type TokenVerifier,
  verifySpiffeId,
  watchCertificates,
  watchPolicy,
} from "./identity/index.ts";
export {
  type AgentEndpoint,
  type AgentQuery,
  type ContractDifference,
  contractDifferences,
  createDnsSource,
  createRegistrySource,
  createStaticSource,
  type DnsSourceOptions,
  type EndpointSource,
  type ListedEndpoint,
  type RegistrySourceOptions,
} from "./registry/index.ts";
export {
  type AccessOptions,
  type RegisterOptions,
  type RegistryServeOptions,
  type ServeOptions,
  type Server,
  serve,
} from "./server/index.ts";
export {
  type AppendOptions,
  createMemoryStore,
  isLeaseHeld,
  isLeaseLost,
  isLengthConflict,
  type Lease,
  type LeaseChange,
  type LogInfo,
  type LogsOptions,
  type MemoryStoreOptions,
  type ReadOptions,
  type Store,
} from "./store/index.ts";
export type { LogOptions } from "./telemetry/index.ts";
export type { CallBudget, CallOptions, TaskInput } from "./web/index.ts";
export type { CorsOptions, TlsOptions } from "./wire/index.ts";

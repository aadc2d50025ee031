export { askBounds } from "./ask-bounds.ts";
export { type Backoff, type BackoffOptions, createBackoff, type Random } from "./backoff.ts";
export { type ChainPlace, chainBytes, chainFault, isThreadDamaged, threadDamaged } from "./chain.ts";
export { citationBounds } from "./citation-bounds.ts";
export { errorDetails, fromRpcStatus, toRpcStatus } from "./details.ts";
export {
  type Budget,
  type Envelope,
  envelopeHeader,
  envelopeHeaders,
  type HeaderLookup,
  type Hop,
  readEnvelope,
  rootEnvelope,
  type TraceContext,
  traceIdOf,
} from "./envelope.ts";
export {
  abortError,
  alreadyExists,
  cancelled,
  dataLoss,
  deadlineExceeded,
  errorDomain,
  errorOf,
  type FieldViolation,
  failedPrecondition,
  guardrailBlocked,
  internal,
  invalidArgument,
  notFound,
  outOfRange,
  permissionDenied,
  resourceExhausted,
  taskEndedTrailer,
  toPeerError,
  unauthenticated,
  unavailable,
} from "./errors.ts";
export type { AgentEvent, Finish, Restart, TaskEvent } from "./events.ts";
export { Few } from "./few.ts";
export { guardrailBounds } from "./guardrail-bounds.ts";
export { type HeldBytes, heldOfAll, heldOfEvent, isEventStream } from "./held-bytes.ts";
export { LatestQueue } from "./latest-queue.ts";
export {
  defaultLimits,
  envelopeBounds,
  identityBounds,
  type Limits,
  reachBounds,
  registryBounds,
  resolveLimits,
  wireBounds,
} from "./limits.ts";
export { mcpBounds } from "./mcp-bounds.ts";
export { memoryBounds } from "./memory-bounds.ts";
export { modelBounds } from "./model-bounds.ts";
export { natsBounds } from "./nats-bounds.ts";
export { isPromise } from "./promise.ts";
export { describeIssues, type SchemaIssue, type SchemaResult, type StandardSchema } from "./standard-schema.ts";
export { sqliteBounds, storeBounds } from "./store-limits.ts";
export { taskBounds } from "./task-bounds.ts";
export { type Due, timers } from "./timer-wheel.ts";
export { toolBounds } from "./tool-bounds.ts";
export { untilAborted } from "./until.ts";
export { varintBytes, writeVarint } from "./varint.ts";
export { pause, waitFor } from "./wait.ts";

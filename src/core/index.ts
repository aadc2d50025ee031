export { errorDetails, toRpcStatus } from "./details.ts";
export { childEnvelope, type Envelope } from "./envelope.ts";
export {
  alreadyExists,
  cancelled,
  deadlineExceeded,
  errorDomain,
  type FieldViolation,
  failedPrecondition,
  internal,
  invalidArgument,
  notFound,
  outOfRange,
  permissionDenied,
  resourceExhausted,
  toPeerError,
  unavailable,
} from "./errors.ts";
export type { AgentEvent, Finish, TaskEvent } from "./events.ts";
export { defaultLimits, type Limits, reachBounds, resolveLimits, wireBounds } from "./limits.ts";
export { type Due, timers } from "./timer-wheel.ts";

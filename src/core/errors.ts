import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  type ErrorInfo,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  QuotaFailureSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.js";

/** The `domain` of every ErrorInfo that Convoke sends. */
export const errorDomain = "convoke";

/** One field of a request that is wrong: its path in the message, and what would be right. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

interface ErrorOptions {
  /** What led here; for the log, never for the peer. */
  readonly cause?: unknown;
}

/** INVALID_ARGUMENT with a BadRequest that names each field. Fix the request; do not retry. */
export function invalidArgument(violations: readonly FieldViolation[], options?: ErrorOptions): ConnectError {
  const message = violations.map(({ field, description }) => `${field} ${description}`).join("; ");
  const fieldViolations = violations.map(({ field, description }) => ({ field, description }));
  return failure(Code.InvalidArgument, message, { ...options, details: [detail(BadRequestSchema, { fieldViolations })] });
}

/** NOT_FOUND with a ResourceInfo. `hint` says what there is instead. */
export function notFound(resource: { type: string; name: string; hint?: string }): ConnectError {
  const { type, name, hint } = resource;
  const description = `there is no ${type} "${name}"${hint === undefined ? "" : `; ${hint}`}`;
  const info = detail(ResourceInfoSchema, { resourceType: type, resourceName: name, description });
  return failure(Code.NotFound, description, { details: [info] });
}

/** ALREADY_EXISTS with an ErrorInfo whose `reason` programs can compare. */
export function alreadyExists(message: string, info: Pick<ErrorInfo, "reason" | "metadata">): ConnectError {
  return failure(Code.AlreadyExists, message, { details: [detail(ErrorInfoSchema, { ...info, domain: errorDomain })] });
}

/** FAILED_PRECONDITION with a PreconditionFailure: the request is well-formed but the state does not allow it. */
export function failedPrecondition(violation: { type: string; subject: string; description: string }): ConnectError {
  const details = [detail(PreconditionFailureSchema, { violations: [violation] })];
  return failure(Code.FailedPrecondition, violation.description, { details });
}

/** FAILED_PRECONDITION with a PreconditionFailure: a guardrail does not let a result pass. Each reason is a violation of type `GUARDRAIL`. */
export function guardrailBlocked(guardrail: string, reasons: readonly string[], options?: ErrorOptions): ConnectError {
  const violations = reasons.map((description) => ({ type: "GUARDRAIL", subject: guardrail, description }));
  const more = reasons.length > 1 ? ` (and ${reasons.length - 1} more)` : "";
  const details = [detail(PreconditionFailureSchema, { violations })];
  return failure(Code.FailedPrecondition, `guardrail "${guardrail}": ${reasons[0]}${more}`, { ...options, details });
}

/** UNAUTHENTICATED with an ErrorInfo whose `reason` programs can compare: who calls is not proven. */
export function unauthenticated(message: string, reason: string, options?: ErrorOptions): ConnectError {
  return failure(Code.Unauthenticated, message, {
    ...options,
    details: [detail(ErrorInfoSchema, { reason, domain: errorDomain })],
  });
}

/** PERMISSION_DENIED with an ErrorInfo whose `reason` programs can compare. */
export function permissionDenied(message: string, reason: string): ConnectError {
  return failure(Code.PermissionDenied, message, { details: [detail(ErrorInfoSchema, { reason, domain: errorDomain })] });
}

/** RESOURCE_EXHAUSTED with a QuotaFailure and, when waiting helps, a RetryInfo of `retryMs` milliseconds. */
export function resourceExhausted(quota: { subject: string; description: string; retryMs?: number }): ConnectError {
  const { subject, description, retryMs } = quota;
  const details = [detail(QuotaFailureSchema, { violations: [{ subject, description }] })];
  if (retryMs !== undefined) details.push(retryDetail(retryMs));
  return failure(Code.ResourceExhausted, description, { details });
}

/** UNAVAILABLE with a RetryInfo of `retryMs` milliseconds: the same call may succeed later or elsewhere. */
export function unavailable(message: string, retryMs: number, options?: ErrorOptions): ConnectError {
  return failure(Code.Unavailable, message, { ...options, details: [retryDetail(retryMs)] });
}

/** OUT_OF_RANGE: an index before or beyond what there is; with an ErrorInfo where programs need more than the code. */
export function outOfRange(message: string, info?: Pick<ErrorInfo, "reason" | "metadata">): ConnectError {
  if (info === undefined) return failure(Code.OutOfRange, message);
  return failure(Code.OutOfRange, message, { details: [detail(ErrorInfoSchema, { ...info, domain: errorDomain })] });
}

/** DATA_LOSS with an ErrorInfo whose `reason` programs can compare: what was kept is not as it was. */
export function dataLoss(message: string, info: Pick<ErrorInfo, "reason" | "metadata">, options?: ErrorOptions): ConnectError {
  return failure(Code.DataLoss, message, { ...options, details: [detail(ErrorInfoSchema, { ...info, domain: errorDomain })] });
}

/** The trailer of an error that ended a task: to ask again would give it again, so callers do not. */
export const taskEndedTrailer = "convoke-task-ended";

/** CANCELLED: the caller, or the last of them, stopped it. */
export function cancelled(message: string): ConnectError {
  return failure(Code.Canceled, message);
}

/** What work ends with whose signal was aborted: the ConnectError that it was aborted with, else CANCELLED. */
export function abortError(reason: unknown, message: string): ConnectError {
  return reason instanceof ConnectError ? reason : cancelled(message);
}

/** DEADLINE_EXCEEDED: the time that the caller gave is over. */
export function deadlineExceeded(message: string): ConnectError {
  return failure(Code.DeadlineExceeded, message);
}

/** INTERNAL for what nobody foresaw: one plain sentence for the peer, `cause` for the log. */
export function internal(message: string, options?: ErrorOptions): ConnectError {
  return failure(Code.Internal, message, options);
}

/** Any thrown value as the error that may leave the process: typed errors as they are, everything else as INTERNAL. */
export function toPeerError(thrown: unknown, message = "the server failed in an unforeseen way"): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  return internal(message, { cause: thrown });
}

/** The same error, its message led by whose it is. */
export function errorOf(whose: string, error: ConnectError): ConnectError {
  const { rawMessage, code, metadata, details, cause } = error;
  const same = new ConnectError(`${whose}: ${rawMessage}`, code, metadata, undefined, cause);
  same.details = details;
  return same;
}

interface FailureOptions extends ErrorOptions {
  readonly details?: readonly { desc: DescMessage; value: object }[];
}

function failure(code: Code, message: string, { details = [], cause }: FailureOptions = {}): ConnectError {
  type Details = ConstructorParameters<typeof ConnectError>[3];
  const outgoing = [...details] as Details; // each pairs a descriptor with its message, which a list of different ones cannot say
  return new ConnectError(message, code, undefined, outgoing, cause);
}

function detail<Desc extends DescMessage>(desc: Desc, value: MessageInitShape<Desc>): { desc: DescMessage; value: object } {
  return { desc, value: create(desc, value) };
}

function retryDetail(retryMs: number) {
  return detail(RetryInfoSchema, {
    retryDelay: { seconds: BigInt(Math.floor(retryMs / 1000)), nanos: (retryMs % 1000) * 1_000_000 },
  });
}

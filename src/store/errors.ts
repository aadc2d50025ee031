import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, PreconditionFailureSchema } from "../contract/index.ts";
import { alreadyExists, failedPrecondition, outOfRange } from "../core/index.ts";

const lengthType = "LOG_LENGTH";
const lostType = "LEASE_REVISION";
const trimmedReason = "ENTRY_TRIMMED";
const heldReason = "LEASE_HELD";

/** FAILED_PRECONDITION: somebody else has appended. */
export function lengthConflict(log: string, { expected, actual }: { expected: number; actual: number }): ConnectError {
  const description = `log "${log}" has ${actual} entries and not ${expected}; read the new ones and decide again`;
  return failedPrecondition({ type: lengthType, subject: log, description });
}

/** FAILED_PRECONDITION: the lease of this revision is over. */
export function leaseLost(key: string, revision: bigint): ConnectError {
  const description = `the lease on "${key}" of revision ${revision} has ended; take a new one`;
  return failedPrecondition({ type: lostType, subject: key, description });
}

/** ALREADY_EXISTS: somebody holds the key. */
export function leaseHeld(key: string): ConnectError {
  return alreadyExists(`"${key}" is held by another lease`, { reason: heldReason, metadata: { key } });
}

/** OUT_OF_RANGE: the entry was there and is not kept any more. */
export function trimmed(log: string, { from, first }: { from: number; first: number }): ConnectError {
  const info = { reason: trimmedReason, metadata: { log, first: String(first) } };
  return outOfRange(`entry ${from} of log "${log}" is gone; the first one kept is ${first}`, info);
}

/** The first entry that is kept, from the error of who asked for one before; undefined for any other. */
export function firstKept(thrown: unknown): number | undefined {
  if (!(thrown instanceof ConnectError) || thrown.code !== Code.OutOfRange) return undefined;
  const info = thrown.findDetails(ErrorInfoSchema).find(({ reason }) => reason === trimmedReason);
  return info && Number(info.metadata["first"]);
}

/** True when an append was refused because the log has another length than expected. */
export function isLengthConflict(thrown: unknown): boolean {
  return hasViolation(thrown, lengthType);
}

/** True when a lease cannot be renewed because it has ended. */
export function isLeaseLost(thrown: unknown): boolean {
  return hasViolation(thrown, lostType);
}

/** True when a key cannot be taken because another lease has it. */
export function isLeaseHeld(thrown: unknown): boolean {
  if (!(thrown instanceof ConnectError) || thrown.code !== Code.AlreadyExists) return false;
  return thrown.findDetails(ErrorInfoSchema).some(({ reason }) => reason === heldReason);
}

function hasViolation(thrown: unknown, type: string): boolean {
  if (!(thrown instanceof ConnectError) || thrown.code !== Code.FailedPrecondition) return false;
  return thrown.findDetails(PreconditionFailureSchema).some(({ violations }) => violations.some((each) => each.type === type));
}

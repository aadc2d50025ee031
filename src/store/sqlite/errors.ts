import type { ConnectError } from "@connectrpc/connect";
import { dataLoss, failedPrecondition, outOfRange, resourceExhausted, sqliteBounds, unavailable } from "../../core/index.ts";
import { leaseHeld, leaseLost, lengthConflict } from "../errors.ts";
import type { Operation } from "./batch.ts";
import type { Failure, FileFailure } from "./failure.ts";

/** The error that an operation fails with. */
export function errorOf(failure: Failure, { name, number }: Pick<Operation, "name" | "number">): ConnectError {
  switch (failure.case) {
    case "length":
      return lengthConflict(name, { expected: number, actual: failure.actual });
    case "held":
      return leaseHeld(name);
    case "lost":
      return leaseLost(name, BigInt(number));
    default:
      return storeError(failure, name);
  }
}

/** DATA_LOSS that says of what. */
function logDamaged(log: string, { why, entry }: { why: string; entry?: number | undefined }): ConnectError {
  const what = entry === undefined ? `log "${log}"` : `entry ${entry} of log "${log}"`;
  return dataLoss(`${what} is damaged in the store's file: ${why}`, {
    reason: "STORE_DAMAGED",
    metadata: metadataOf(log, entry),
  });
}

/** UNAVAILABLE: there is no store any more. */
export function closedError(): ConnectError {
  return unavailable("the store is closed", sqliteBounds.fullRetryMs);
}

/** OUT_OF_RANGE: the log was trimmed to nothing so long ago that its numbers are not known any more. */
export function forgotten(log: string, from: number): ConnectError {
  return outOfRange(`entry ${from} of log "${log}" is gone, and with it the log: if the name is there, it has begun anew`);
}

/** Why a file cannot be opened. */
export function storeUnfit(failure: FileFailure, path: string): ConnectError {
  if (failure.case !== "unfit") return storeError(failure, path);
  return failedPrecondition({ type: "STORE_FILE", subject: path, description: failure.why });
}

/** What does not depend on what was asked, about a log or a key. */
export function storeError(failure: FileFailure, name: string): ConnectError {
  switch (failure.case) {
    case "damaged":
      return logDamaged(name, failure);
    case "full":
      return resourceExhausted({
        subject: name,
        description: "the disk of the store is full",
        retryMs: sqliteBounds.fullRetryMs,
      });
    case "busy":
      return unavailable("another process has kept the store's file to itself for too long", sqliteBounds.retryMs, {
        cause: failure.why,
      });
    default:
      return unavailable("the store's file could not be used", sqliteBounds.retryMs, { cause: failure.why });
  }
}

function metadataOf(log: string, entry: number | undefined): Record<string, string> {
  return entry === undefined ? { log } : { log, entry: `${entry}` };
}

import type { ConnectError } from "@connectrpc/connect";
import { cancelled } from "../../core/index.ts";

const reasons = new WeakSet<object>();

/** CANCELLED for a call whose caller is out of reach, and may not have wanted that. */
export function connectionLost(): ConnectError {
  const reason = cancelled("the caller's connection broke");
  reasons.add(reason);
  return reason;
}

/** True for what a call's signal was aborted with when the caller's connection broke; else the caller has cancelled, or it took too long. */
export function isConnectionLost(reason: unknown): boolean {
  return typeof reason === "object" && reason !== null && reasons.has(reason);
}

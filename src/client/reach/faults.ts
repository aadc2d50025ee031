import { Code } from "@connectrpc/connect";

/** Codes that speak against the endpoint which gave them. The others are answers: what is asked is wrong, missing or not allowed. */
const faults: ReadonlySet<Code> = new Set([
  Code.Unknown,
  Code.DeadlineExceeded,
  Code.ResourceExhausted,
  Code.Internal,
  Code.Unavailable,
  Code.DataLoss,
]);

export function isFault(code: Code): boolean {
  return faults.has(code);
}

/** The endpoint takes no calls, or no more of them: a fast answer that must not attract others. */
export function isRefusal(code: Code): boolean {
  return code === Code.Unavailable || code === Code.ResourceExhausted;
}

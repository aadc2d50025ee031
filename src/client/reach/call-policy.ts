import { type ContextKey, createContextKey } from "@connectrpc/connect";

/** What one call says of itself, beside the options of its transport. */
export interface CallPolicy {
  /** The server may do it twice: it may be sent again when nobody knows whether it was done. Default: as the contract says. */
  readonly idempotent?: boolean;
  /** Waits for an endpoint until the deadline, where else the call would fail at once. Default: as the transport's option says. */
  readonly waitForReady?: boolean;
}

/**
 * Sets the policy of one call of a balanced transport:
 *
 * ```ts
 * client.book(request, { contextValues: createContextValues().set(callPolicy, { idempotent: true }) });
 * ```
 */
export const callPolicy: ContextKey<CallPolicy> = createContextKey<CallPolicy>({}, { description: "convoke.call-policy" });

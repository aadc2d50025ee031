import { ConnectError } from "@connectrpc/connect";
import { cancelled, toPeerError } from "../core/index.ts";
import { mapErrors } from "./map-errors.ts";

/**
 * Lets nothing but typed errors leave a call: after an abort the abort is the reason, whatever broke first; anything else that is
 * not typed is INTERNAL.
 */
export const typedErrors = mapErrors((thrown, signal) => {
  if (thrown instanceof ConnectError || !signal.aborted) return toPeerError(thrown);
  return signal.reason instanceof ConnectError ? signal.reason : cancelled("the caller left");
});

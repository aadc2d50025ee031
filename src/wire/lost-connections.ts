import { Code, ConnectError } from "@connectrpc/connect";
import { unavailable } from "../core/index.ts";
import { mapErrors } from "./map-errors.ts";

/** A lost connection is worth another try soon, here or at another replica. */
const retryMs = 1_000;

/**
 * Turns a connection that could not be had, or was lost under a call, into UNAVAILABLE (gRPC over HTTP/2, "Errors"). connect-node
 * reports some of these as CANCELLED or ABORTED, which a caller cannot tell from a cancel of its own.
 */
export const lostConnections = mapErrors((thrown, signal) => (!signal.aborted && isLost(thrown) ? lost(thrown) : thrown));

/** Node's codes for a connection that could not be had, or was lost. */
const connectionCode = /^(?:ECONNREFUSED|ECONNRESET|EPIPE|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)$/;

/** Node ends the streams of a lost connection with CANCEL, and connect-node gives no other sign of it than its sentence. */
function isLost(thrown: unknown): thrown is ConnectError {
  if (!(thrown instanceof ConnectError)) return false;
  if (thrown.code === Code.Canceled) return thrown.rawMessage.startsWith("http/2 stream closed with error code CANCEL");
  return connectionCode.test(nodeCode(thrown.cause));
}

function nodeCode(cause: unknown): string {
  return typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "";
}

function lost(error: ConnectError): ConnectError {
  const code = nodeCode(error.cause);
  const message =
    code === "" ? "the connection was lost before the answer was whole" : `the server cannot be reached (${code})`;
  return unavailable(message, retryMs, { cause: error });
}

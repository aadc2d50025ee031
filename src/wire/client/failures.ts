import { Code, ConnectError } from "@connectrpc/connect";
import { cancelled, unavailable } from "../../core/index.ts";
import { PeerRefused } from "../client-tls.ts";
import type { ClientClosed } from "../exchange.ts";

/** A lost connection is worth another try soon, here or at another replica. */
const retryMs = 1_000;

/** What a reset of the stream means (PROTOCOL-HTTP2.md, "HTTP2 Transport Mapping, Errors"); INTERNAL where nothing is said. */
const resetMeanings: Readonly<Record<number, readonly [code: Code, meaning: string]>> = {
  8: [Code.Canceled, "the server cancelled the call"],
  11: [Code.ResourceExhausted, "the server asks for calm: too much was sent"],
  12: [Code.PermissionDenied, "the server finds the connection not secure enough"],
};

const cutOff = new WeakSet<ConnectError>();
const cutShort = new WeakSet<ConnectError>();

/** True for the error of a call whose connection broke when it had been sent: a server may have begun it, and has not said how it ended. */
export function isCutOff(error: ConnectError): boolean {
  return cutOff.has(error);
}

/**
 * True for the error of a response that was ended without saying how the call came out. Proxies do so when the server behind them has died; one that
 * drops trailers does so every time.
 */
export function isCutShort(error: ConnectError): boolean {
  return cutShort.has(error);
}

/** The error of a response that has an end, and no outcome. */
export function withoutOutcome(message: string): ConnectError {
  const error = new ConnectError(message, Code.Internal);
  cutShort.add(error);
  return error;
}

/** The error of a call whose exchange ended before its response was whole. */
export function failureOf(closed: ClientClosed): ConnectError {
  const error = errorOf(closed);
  if (closed.how === "lost") cutOff.add(error);
  if (closed.how === "reset" && (error.code === Code.Internal || error.code === Code.Canceled)) cutShort.add(error);
  return error;
}

function errorOf(closed: ClientClosed): ConnectError {
  switch (closed.how) {
    case "reset": {
      const [code, meaning] = resetMeanings[closed.code] ?? [Code.Internal, "the server broke the call off"];
      return new ConnectError(`${meaning} (HTTP/2 error ${closed.code})`, code);
    }
    case "refused":
    case "unsent":
      return unavailable("the server takes no call now", retryMs);
    case "unreachable":
      if (closed.cause instanceof ConnectError) return closed.cause; // who keeps several connections knows more
      if (closed.cause instanceof PeerRefused) {
        return unavailable(`the server was refused: ${closed.cause.message}`, retryMs, { cause: closed.cause });
      }
      return unavailable(`the server cannot be reached${codeOf(closed.cause)}`, retryMs, { cause: closed.cause });
    case "closed":
      return cancelled("the client was closed");
    default:
      return unavailable("the connection was lost before the answer was whole", retryMs, {
        cause: closed.how === "lost" ? closed.cause : undefined,
      });
  }
}

/** True when the exchange was not begun by the server, so that the request may be sent again. */
export function mayResend({ how }: ClientClosed): boolean {
  return how === "refused" || how === "unsent";
}

function codeOf(cause: unknown): string {
  return typeof cause === "object" && cause !== null && "code" in cause ? ` (${String(cause.code)})` : "";
}

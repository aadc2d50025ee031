import { Code, ConnectError } from "@connectrpc/connect";
import { deadlineExceeded, internal, mcpBounds, unavailable } from "../core/index.ts";

/** Codes of the MCP SDK's errors, beside those of JSON-RPC. */
const connectionClosed = -32_000;
const requestTimeout = -32_001;
const invalidParams = -32_602;

/**
 * What a failure of an MCP server is to who called its tool. Nothing of where it is, or of what the system said, is told.
 *
 * @param server what it is for people.
 */
export function mcpFailure(thrown: unknown, server: string): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  const options = { cause: thrown };
  const { code, message = "", name, cause } = Object(thrown) as Partial<Error> & { readonly code?: unknown }; // each is looked at before it is used
  if (code === requestTimeout) return deadlineExceeded(`${server} took too long to answer`);
  if (code === invalidParams) {
    const said = message.slice(0, mcpBounds.maxFailureChars);
    return new ConnectError(said, Code.InvalidArgument, undefined, undefined, thrown);
  }
  const isHttp = typeof code === "number" && code >= 400; // of the SDK's StreamableHTTPError, which has no name of its own
  const isAway = code === connectionClosed || typeof code === "string" || (name === "TypeError" && cause !== undefined);
  if (isAway || isHttp) return unavailable(`${server} is away`, mcpBounds.retryMs, options);
  return internal(`${server} failed in an unforeseen way`, options);
}

import type { ConnectError } from "@connectrpc/connect";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { mcpBounds, resourceExhausted } from "../core/index.ts";

/** A transport of the MCP SDK that knows what it was closed for. */
export interface Line extends Transport {
  /** Set when the server has gone beyond a bound. */
  readonly fault: ConnectError | undefined;
}

export function tooLarge(): ConnectError {
  const description = `the MCP server has sent a message of over ${mcpBounds.maxMessageBytes} bytes, the most allowed`;
  return resourceExhausted({ subject: "MCP message", description });
}

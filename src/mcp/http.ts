import type { ConnectError } from "@connectrpc/connect";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { type HeldBytes, heldOfAll, heldOfEvent, isEventStream, mcpBounds, pause } from "../core/index.ts";
import { type Line, tooLarge } from "./line.ts";

/** A server that is reached by streamable HTTP. */
export interface McpEndpoint {
  readonly url: string | URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly fetch?: typeof fetch;
}

/** What HTTP says of a session that is not there (MCP 2025-11-25, Session Management). */
export const unknownSession = 404;

/**
 * A session over streamable HTTP (MCP 2025-11-25, Transports). It tells what the MCP SDK does not see, that the server cannot be reached, or that an answer
 * breaks off; bounds what is read of an answer; and when it is closed, ends the session at the server.
 */
export async function createHttpLine({ url, headers = {}, fetch = globalThis.fetch }: McpEndpoint): Promise<Line> {
  const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
  let fault: ConnectError | undefined;
  let isLost = false;
  let closing: Promise<void> | undefined;
  const lost = (thrown: unknown) => {
    isLost = true;
    if (thrown === tooLargeBody) fault ??= tooLarge();
    void transport.close();
  };
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    requestInit: { headers: { ...headers } },
    fetch: watched(fetch, lost, () => {
      isLost = true;
    }),
  });
  const end = transport.close.bind(transport);
  const close = async () => {
    // One that does not answer is left all the same.
    if (!isLost) await Promise.race([transport.terminateSession().catch(() => {}), pause(mcpBounds.closeMs)]);
    await end();
  };
  transport.close = () => {
    closing ??= close();
    return closing;
  };
  const line: Transport & { fault?: ConnectError | undefined } = transport as Transport; // its sessionId is written in another way
  return Object.defineProperty(line, "fault", { get: () => fault }) as Line; // it has one now
}

const tooLargeBody = new Error(`a message is larger than ${mcpBounds.maxMessageBytes} bytes`);

/** @param lost the connection has failed. @param forgotten the server does not know the session any more. */
function watched(
  fetch: typeof globalThis.fetch,
  lost: (thrown: unknown) => void,
  forgotten: () => void,
): typeof globalThis.fetch {
  return async (input, init) => {
    const failed = (thrown: unknown) => {
      if (init?.signal?.aborted !== true) lost(thrown);
    };
    const response = await fetch(input, init).catch((thrown: unknown) => {
      failed(thrown);
      throw thrown;
    });
    const { body, status, statusText, headers } = response;
    if (status === unknownSession) forgotten();
    if (body === null) return response;
    const held = isEventStream(response) ? heldOfEvent() : heldOfAll();
    // A stream of what the server says by itself is opened again by the SDK when it ends.
    const ended = (thrown: unknown) => {
      if (init?.method === "POST" || thrown === tooLargeBody) failed(thrown);
    };
    return new Response(bounded(body, { held, ended }), { status, statusText, headers });
  };
}

interface BoundedInit {
  readonly held: HeldBytes;
  readonly ended: (thrown: unknown) => void;
}

function bounded(body: ReadableStream<Uint8Array>, { held, ended }: BoundedInit): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let isCancelled = false;
  const fail = (thrown: unknown) => {
    ended(thrown);
    throw thrown;
  };
  return new ReadableStream({
    async pull(controller) {
      const { value: chunk } = await reader.read().catch(fail);
      if (isCancelled) return;
      if (chunk === undefined) return controller.close();
      if (held(chunk) > mcpBounds.maxMessageBytes) {
        void reader.cancel(tooLargeBody).catch(() => {}); // it is left whatever becomes of it
        fail(tooLargeBody);
      }
      controller.enqueue(chunk);
    },
    cancel(reason) {
      isCancelled = true;
      return reader.cancel(reason);
    },
  });
}

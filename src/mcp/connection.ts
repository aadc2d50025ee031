import type { Client } from "@modelcontextprotocol/sdk/client/index.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { toolBounds } from "../core/index.ts";
import { watchedFetch } from "./watched-fetch.ts";

/** Where an MCP server is. */
export type McpServer =
  /** A program that speaks on its standard input and output. It is started when it is needed, sees nothing of the environment but what `env` says and a few names such as PATH, and ends with `close`. */
  | {
      readonly command: string;
      readonly args?: readonly string[];
      readonly env?: Readonly<Record<string, string>>;
      readonly cwd?: string;
    }
  /** One that is reached by streamable HTTP. */
  | { readonly url: string | URL; readonly headers?: Readonly<Record<string, string>>; readonly fetch?: typeof fetch };

/** What HTTP says of a session that is not there (MCP 2025-11-25, Session Management). */
const unknownSession = 404;

/** One server, connected when somebody needs it, and anew after the connection has ended. */
export class McpConnection {
  readonly #server: McpServer;
  readonly #timeoutMs: number;
  #client: Promise<Client> | undefined;
  #isClosed = false;

  constructor(server: McpServer, timeoutMs: number) {
    this.#server = server;
    this.#timeoutMs = timeoutMs;
  }

  /** Those who need it at once share one attempt. @throws what keeps it from being reached. */
  client(): Promise<Client> {
    if (this.#isClosed) return Promise.reject(new Error("the tools of this MCP server have been closed"));
    if (this.#client === undefined) {
      const client = this.#connect();
      this.#client = client;
      client.catch(() => this.#forget(client));
    }
    return this.#client;
  }

  /**
   * Calls a tool. A call that met a server which knows the session no more was not begun, and is made again in another one.
   *
   * @throws what the SDK and the server say.
   */
  async call(call: { readonly name: string; readonly arguments: Record<string, unknown> }, signal: AbortSignal) {
    const timeout = toolBounds.maxTimeoutMs; // the tool's own time ends it, by its signal
    const first = await this.client();
    try {
      return await first.callTool(call, undefined, { signal, timeout });
    } catch (thrown) {
      if (Object(thrown).code !== unknownSession) throw thrown;
      await first.close(); // and so it is forgotten
      const next = await this.client();
      return await next.callTool(call, undefined, { signal, timeout });
    }
  }

  /** Ends the program, or the session. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const client = await this.#client?.catch(() => undefined);
    await client?.close();
  }

  async #connect(): Promise<Client> {
    const { Client } = await import("@modelcontextprotocol/sdk/client/index.js"); // only where there is an MCP server
    const own = this.#client;
    const client = new Client({ name: "convoke", version: "0" });
    const transport = await transportTo(this.#server);
    try {
      await client.connect(transport, { timeout: this.#timeoutMs });
    } catch (thrown) {
      await client.close().catch(() => {}); // what kept it from starting tells more
      throw thrown;
    }
    client.onclose = () => this.#forget(own);
    return client;
  }

  /** @param which only if it is still this one. */
  #forget(which: Promise<Client> | undefined): void {
    if (this.#client === which) this.#client = undefined;
  }
}

async function transportTo(server: McpServer): Promise<Transport> {
  if ("url" in server) {
    const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
    const { url, headers = {}, fetch } = server;
    const transport = new StreamableHTTPClientTransport(new URL(url), {
      requestInit: { headers: { ...headers } },
      fetch: watchedFetch(fetch, () => void transport.close()), // which fails the calls that wait, and ends the session
    });
    return transport as Transport; // its sessionId is written in another way
  }
  const { StdioClientTransport, getDefaultEnvironment } = await import("@modelcontextprotocol/sdk/client/stdio.js");
  const { command, args = [], env = {}, cwd } = server;
  const environment = { ...getDefaultEnvironment(), ...env };
  return new StdioClientTransport({
    command,
    args: [...args],
    env: environment,
    stderr: "ignore",
    ...(cwd !== undefined && { cwd }),
  });
}

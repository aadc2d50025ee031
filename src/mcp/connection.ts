import type { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { createBackoff, mcpBounds, toolBounds, unavailable } from "../core/index.ts";
import { createHttpLine, type McpEndpoint, unknownSession } from "./http.ts";
import type { Line } from "./line.ts";
import { createStdioLine, type McpProgram } from "./stdio.ts";

/**
 * Where an MCP server is: a program, which is started when it is needed, sees nothing of the environment but what `env` says and a few names such as PATH, and
 * ends with `close`, together with what it has started; or one that is reached by streamable HTTP.
 */
export type McpServer = McpProgram | McpEndpoint;

interface Session {
  readonly client: Client;
  readonly line: Line;
}

/** One server, connected when somebody needs it, and anew after the connection has ended. */
export class McpConnection {
  readonly #server: McpServer;
  readonly #timeoutMs: number;
  readonly #backoff = createBackoff({ initialMs: mcpBounds.retryMs, maxMs: mcpBounds.maxRetryMs });
  #session: Promise<Session> | undefined;
  #isClosed = false;
  #hasFailed = false;
  /** Before that a program is not started again. */
  #notBeforeMs = 0;

  constructor(server: McpServer, timeoutMs: number) {
    this.#server = server;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Asks the server for something.
   *
   * @throws what keeps it from being reached, and what the SDK and the server say; ConnectError RESOURCE_EXHAUSTED when it has gone beyond a bound, UNAVAILABLE in the
   *   pause after a program has ended soon, or not started, twice.
   */
  async use<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const { client, line } = await this.#connected();
    try {
      return await work(client);
    } catch (thrown) {
      if (Object(thrown).code === unknownSession) await client.close(); // and so it is forgotten
      throw line.fault ?? thrown;
    }
  }

  /**
   * Calls a tool. A call that met a server which knows the session no more was not begun, and is made again in another one.
   *
   * @throws as {@link McpConnection.use}.
   */
  async call(call: { readonly name: string; readonly arguments: Record<string, unknown> }, signal: AbortSignal) {
    const timeout = toolBounds.maxTimeoutMs; // the tool's own time ends it, by its signal
    const work = (client: Client) => client.callTool(call, undefined, { signal, timeout });
    try {
      return await this.use(work);
    } catch (thrown) {
      if (Object(thrown).code !== unknownSession) throw thrown;
      return await this.use(work);
    }
  }

  /** Ends the program, or the session. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const session = await this.#session?.catch(() => undefined);
    await session?.client.close();
  }

  /** Those who need it at once share one attempt. */
  #connected(): Promise<Session> {
    if (this.#isClosed) return Promise.reject(new Error("the tools of this MCP server have been closed"));
    if (this.#session !== undefined) return this.#session;
    const restMs = Math.ceil(this.#notBeforeMs - performance.now());
    if (restMs > 0)
      return Promise.reject(unavailable("the MCP server has ended again and again, and is not started for now", restMs));
    const session = this.#connect();
    this.#session = session;
    session.catch(() => this.#ended(session, 0));
    return session;
  }

  async #connect(): Promise<Session> {
    const { Client } = await import("@modelcontextprotocol/sdk/client/index.js"); // only where there is an MCP server
    const own = this.#session;
    const client = new Client({ name: "convoke", version: "0" });
    const line = await ("url" in this.#server ? createHttpLine(this.#server) : createStdioLine(this.#server));
    try {
      await client.connect(line, { timeout: this.#timeoutMs });
    } catch (thrown) {
      await client.close().catch(() => {}); // what kept it from starting tells more
      throw line.fault ?? thrown;
    }
    const beganMs = performance.now();
    client.onclose = () => this.#ended(own, performance.now() - beganMs);
    return { client, line };
  }

  /** @param which only if it is still this one. @param lastedMs how long it was connected. */
  #ended(which: Promise<Session> | undefined, lastedMs: number): void {
    if (this.#session !== which) return;
    this.#session = undefined;
    if ("url" in this.#server) return; // to ask again costs nothing
    if (lastedMs >= mcpBounds.steadyMs) {
      this.#hasFailed = false;
      this.#backoff.reset();
    } else {
      if (this.#hasFailed) this.#notBeforeMs = performance.now() + this.#backoff.nextMs();
      this.#hasFailed = true;
    }
  }
}

import { Agent, request as httpRequest, type IncomingMessage, type ClientRequest as NodeRequest } from "node:http";
import type { IncomingHttpHeaders } from "node:http2";
import { request as httpsRequest, Agent as TlsAgent } from "node:https";
import type { ClientClosed, ClientConnection, ClientExchange, ClientRequest, ResponseSink } from "../exchange.ts";
import { connectOptions } from "./client-tls.ts";
import { addFields, NodeFields } from "./fields.ts";
import { failed } from "./http2-client.ts";
import type { ConnectionOptions } from "./keep-alive.ts";

/** A client's exchanges over node:http: a connection for each that is open, kept for the next one. */
export function createHttp1Connection(options: ConnectionOptions): ClientConnection {
  const { origin, scheme, tls } = options;
  const agent = scheme === "https" ? new TlsAgent({ keepAlive: true, maxCachedSessions: 0 }) : new Agent({ keepAlive: true });
  const start = scheme === "https" ? httpsRequest : httpRequest;
  const open = new Set<Http1ClientExchange>();
  let closed = false;
  return {
    open({ method, path, headers }: ClientRequest, sink) {
      if (closed) return failed(sink, { how: "closed" });
      const { hostname, port } = new URL(origin);
      const fields = addFields({}, headers) as Record<string, string>; // or arrays of them, which Node takes
      const host = hostname.replace(/^\[|\]$/g, "");
      let request: NodeRequest;
      try {
        // A kept connection serves those alone whose certificates are the ones that it was made with.
        const secured = scheme === "https" ? connectOptions(tls) : {};
        request = start({ ...secured, agent, host, port, method, path, headers: fields });
      } catch (cause) {
        return failed(sink, { how: "unreachable", cause }); // no certificate to connect with, or fields that HTTP does not carry
      }
      limitConnecting(request, options);
      const exchange: Http1ClientExchange = new Http1ClientExchange(request, sink, () => {
        open.delete(exchange);
        return closed;
      });
      open.add(exchange);
      return exchange;
    },
    close() {
      closed = true;
      for (const exchange of open) exchange.reset();
      agent.destroy();
    },
  };
}

/** Node's own `timeout` watches for silence all along, which a stream may keep. */
function limitConnecting(request: NodeRequest, { scheme, connectTimeoutMs }: ConnectionOptions): void {
  const late = () =>
    request.destroy(Object.assign(new Error(`no connection within ${connectTimeoutMs} ms`), { code: "ETIMEDOUT" }));
  request.once("socket", (socket) => {
    if (!socket.connecting) return;
    const timer = setTimeout(late, connectTimeoutMs);
    socket.once(scheme === "https" ? "secureConnect" : "connect", () => clearTimeout(timer));
    request.once("close", () => clearTimeout(timer));
  });
}

class Http1ClientExchange implements ClientExchange {
  readonly #request: NodeRequest;
  readonly #sink: ResponseSink;
  readonly #onOver: () => boolean;
  #response: IncomingMessage | undefined;
  #connected = false;
  #whole = false;
  #failure: unknown;
  #over = false;

  /** @param onOver tells whether the connection was closed from this side. */
  constructor(request: NodeRequest, sink: ResponseSink, onOver: () => boolean) {
    this.#request = request;
    this.#sink = sink;
    this.#onOver = onOver;
    request.on("socket", (socket) => {
      this.#connected = !socket.connecting;
      if (this.#connected) return; // kept from an earlier request
      socket.once("encrypted" in socket ? "secureConnect" : "connect", () => {
        this.#connected = true;
      });
    });
    request.on("response", (response) => this.#receive(response));
    request.on("drain", () => sink.drained());
    request.on("error", (error) => {
      this.#failure ??= error;
    });
    request.on("close", () => this.#close());
  }

  write(bytes: Uint8Array): boolean {
    return this.#request.destroyed || this.#request.write(bytes);
  }

  end(bytes?: Uint8Array): void {
    if (!this.#request.destroyed) this.#request.end(bytes);
  }

  pause(): void {
    this.#response?.pause();
  }

  resume(): void {
    this.#response?.resume();
  }

  reset(): void {
    this.#request.destroy();
  }

  #receive(response: IncomingMessage): void {
    this.#response = response;
    this.#sink.head(response.statusCode ?? 0, new NodeFields(response.headers as IncomingHttpHeaders)); // the same shape
    response.on("error", (error) => {
      this.#failure ??= error;
    });
    response.on("data", (bytes: Buffer) => this.#sink.data(bytes));
    response.on("end", () => {
      this.#whole = true;
      this.#sink.end(new NodeFields(response.trailers as IncomingHttpHeaders)); // the same shape
      if (!this.#request.writableFinished) this.#request.destroy(); // nobody wants the rest of the request
      if (this.#request.closed) this.#close();
    });
  }

  #close(): void {
    if (this.#over || (this.#response?.complete === true && !this.#whole && this.#failure === undefined)) return; // its reader is behind
    this.#over = true;
    const closed = this.#onOver();
    this.#sink.closed(this.#how(closed));
  }

  #how(closed: boolean): ClientClosed {
    if (this.#whole) return { how: "done" };
    if (closed) return { how: "closed" };
    return { how: this.#connected ? "lost" : "unreachable", cause: this.#failure };
  }
}

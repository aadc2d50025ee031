import { createServer as createHttpServer, type Server } from "node:http";
import { type AddressInfo, createServer as createNetServer, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { type Limits, resolveLimits } from "../../core/index.ts";
import type { ExchangeHandler } from "../exchange.ts";
import { Http1ServerExchange } from "./http1-server.ts";
import { createHttp2Server, type Http2Server, type Http2ServerOptions } from "./http2-server.ts";
import { InFlight } from "./in-flight.ts";
import { sniff } from "./sniff.ts";
import { createTlsServer, type TlsOptions, type TlsServer } from "./tls-server.ts";
import { Writers } from "./writers.ts";

export interface ListenerOptions {
  /** Answers each request; it owns the exchange and must end it. */
  readonly onRequest: ExchangeHandler;
  /** Bounds that differ from the defaults. */
  readonly limits?: Partial<Limits>;
  /** Serves TLS, with the HTTP version chosen by ALPN (RFC 7301); without it both versions in clear text. */
  readonly tls?: TlsOptions;
}

/** One port that takes HTTP/1.1 and HTTP/2. */
export interface Listener {
  /** Requests that are being answered. */
  readonly inFlight: number;
  /** Settles when nothing is being answered. */
  idle(): Promise<void>;
  /** Binds and starts to accept; port 0 picks a free one. @throws the bind error, such as EADDRINUSE. */
  listen(host: string, port: number): Promise<AddressInfo>;
  /**
   * Takes another certificate, key and authorities for the connections that come from now on; those that live go on as they are.
   *
   * @throws TypeError when the listener was made without TLS, or its `clientCertificates` would change; the error of OpenSSL for
   * what is no certificate and its key. What was there before then stays.
   */
  setTls(tls: TlsOptions): void;
  /**
   * Accepts no connection any more and tells every peer to send no new call here; calls in flight go on. Settles when the last
   * bytes of every HTTP/2 connection are sent.
   */
  drain(): Promise<void>;
  /** Ends every connection, whatever is in flight, and frees the port. */
  close(): Promise<void>;
}

/**
 * Creates the listener: a connection is HTTP/2 or HTTP/1.1 by ALPN with TLS, and by its first bytes without, each within
 * `headersTimeoutMs`.
 */
export function createListener(options: ListenerOptions): Listener {
  const { tls } = options;
  const limits = resolveLimits(options.limits);
  const sockets = new Set<Socket>();
  const counted = { ...options, limits, inFlight: new InFlight() };
  const http1 = createHttp1(counted);
  const http2 = createHttp2Server(counted);
  const writers = new Writers();
  const protocols = { http1, http2, writers, timeoutMs: limits.headersTimeoutMs };
  const route = (socket: Socket) => routeSocket(socket, protocols);
  const secure: TlsServer | undefined = tls && createTlsServer(tls, limits.headersTimeoutMs, route);
  const server = secure?.server ?? createNetServer({ noDelay: true, allowHalfOpen: true }, route);
  server.maxConnections = limits.maxConnections;
  server.on("connection", (socket: Socket) => track(sockets, socket, limits.maxConnectionsPerAddress));
  return {
    get inFlight() {
      return counted.inFlight.count;
    },
    idle: () => counted.inFlight.idle(),
    listen: (host, port) =>
      new Promise((resolve, reject) => {
        server.once("error", reject);
        server.listen(port, host, () => {
          server.off("error", reject);
          resolve(server.address() as AddressInfo); // a TCP server's address is never a pipe name
        });
      }),
    setTls(options) {
      if (secure === undefined) throw new TypeError("the listener speaks no TLS; it has to be made with tls");
      secure.set(options);
    },
    drain() {
      server.close();
      http1.closeIdleConnections();
      http2.drain();
      return writers.emptied();
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        http1.close();
        http2.destroy();
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function createHttp1({ limits, onRequest, inFlight }: Http2ServerOptions): Server {
  const lingerMs = limits.unaryBodyTimeoutMs;
  const onClosed = () => inFlight.remove();
  const server = createHttpServer(
    {
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: 0, // bodies are timed by the kind of call: a client stream may last
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: Math.min(limits.headersTimeoutMs, 1_000),
    },
    (request, response) => {
      inFlight.add();
      onRequest(new Http1ServerExchange({ request, response, lingerMs, onClosed }));
    },
  );
  // Node drops headers over the count silently; one more than allowed lets the handler see that there were too many.
  server.maxHeadersCount = limits.maxHeaderPairs + 1;
  // Sockets come from the sniffer, so this server never listens; its check of headersTimeout starts with this event.
  server.emit("listening");
  return server;
}

interface Protocols {
  readonly http1: Server;
  readonly http2: Http2Server;
  readonly writers: Writers;
  readonly timeoutMs: number;
}

function routeSocket(socket: Socket | TLSSocket, protocols: Protocols): void {
  socket.on("error", () => socket.destroy()); // before a protocol owns it; afterwards the protocol's own handling comes first
  if ("alpnProtocol" in socket && typeof socket.alpnProtocol === "string") {
    handOver(socket, socket.alpnProtocol === "h2" ? "2" : "1.1", protocols);
    return;
  }
  const giveUp = () => socket.destroy();
  const timer = setTimeout(giveUp, protocols.timeoutMs);
  socket.once("end", giveUp);
  socket.once("close", () => clearTimeout(timer));
  sniff(socket, (version) => {
    clearTimeout(timer);
    socket.off("end", giveUp);
    handOver(socket, version, protocols);
  });
}

/** An HTTP/1.1 peer may close its side and still wait for the answer; an HTTP/2 peer that closes has gone. */
function handOver(socket: Socket, version: "1.1" | "2", { http1, http2, writers }: Protocols): void {
  socket.allowHalfOpen = version === "1.1";
  if (version === "1.1") http1.emit("connection", socket);
  else {
    writers.add(socket);
    http2.serve(socket);
  }
}

function track(sockets: Set<Socket>, socket: Socket, maxPerAddress: number): void {
  if (maxPerAddress > 0) {
    let open = 0;
    for (const other of sockets) if (other.remoteAddress === socket.remoteAddress) open++;
    if (open >= maxPerAddress) {
      socket.destroy();
      return;
    }
  }
  sockets.add(socket);
  socket.once("close", () => sockets.delete(socket));
}

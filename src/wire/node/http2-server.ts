import type { Socket } from "node:net";
import type { Limits } from "../../core/index.ts";
import type { ExchangeHandler } from "../exchange.ts";
import { ServerConnection, type ServerConnectionOptions } from "../http2/server-connection.ts";
import { feed, SocketPipe } from "./http2-socket.ts";
import type { InFlight } from "./in-flight.ts";
import { peerCertificateOf } from "./peer-certificate.ts";

export interface Http2ServerOptions {
  readonly limits: Limits;
  readonly onRequest: ExchangeHandler;
  readonly inFlight: InFlight;
}

/** The HTTP/2 connections of a server. */
export interface Http2Server {
  /** Serves a socket whose peer speaks HTTP/2; the preface is still to be read. */
  serve(socket: Socket): void;
  /** Tells every peer to open no new stream; a connection ends with its last stream. */
  drain(): void;
  /** Ends every connection at once. */
  destroy(): void;
}

const mebibyte = 1024 * 1024;

export function createHttp2Server({ limits, onRequest, inFlight }: Http2ServerOptions): Http2Server {
  const connections = new Set<ServerConnection>();
  let draining = false;
  const options: ServerConnectionOptions = {
    ...limits,
    maxHeldBytes: limits.maxSessionMemoryMib * mebibyte,
    lingerMs: limits.unaryBodyTimeoutMs,
    onRequest(exchange) {
      inFlight.add();
      onRequest(exchange);
    },
    onOver: () => inFlight.remove(),
  };
  return {
    serve(socket) {
      const certificate = peerCertificateOf(socket);
      const peer = { address: socket.remoteAddress ?? "", encrypted: "encrypted" in socket, certificate };
      const connection = new ServerConnection(new SocketPipe(socket), peer, options);
      connections.add(connection);
      socket.once("close", () => connections.delete(connection));
      feed(connection, socket);
      if (draining) connection.drain();
    },
    drain() {
      draining = true;
      for (const connection of connections) connection.drain();
    },
    destroy() {
      for (const connection of connections) connection.destroy();
    },
  };
}

import { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { type Limits, wireBounds } from "../../core/index.ts";
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

/** What Node's timers can wait, 24 days; a connection that is as old may well be made anew. */
const maxTimeoutMs = 2 ** 31 - 1;

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
      const ending = certificate && beforeExpiry(certificate, () => connection.drain());
      socket.once("close", () => {
        connections.delete(connection);
        clearTimeout(ending);
      });
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

/**
 * Runs it shortly before the certificate ends: its peer is to come back with another one before its calls are refused. Who comes back with
 * the same is told again after the same share of the time that is left.
 */
function beforeExpiry(certificate: Uint8Array, run: () => void): NodeJS.Timeout {
  const leftMs = Date.parse(new X509Certificate(certificate).validTo) - Date.now();
  const delayMs = leftMs - Math.min(wireBounds.certificateEndMs, leftMs / 10);
  return setTimeout(run, Math.min(Math.max(delayMs, 0), maxTimeoutMs)).unref();
}

import type { Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { defaultLimits } from "../../core/index.ts";
import { lostConnections } from "../lost-connections.ts";

/** Trust for `https` URLs. */
export interface ClientTlsOptions {
  /** PEM certificates of the authorities to trust instead of the system's. */
  readonly ca?: string | Buffer;
}

export interface TransportOptions {
  /** Scheme, host and port of the server: `http://` is HTTP/2 with prior knowledge, `https://` is HTTP/2 by ALPN. */
  readonly baseUrl: string;
  /** Default `grpc`. */
  readonly protocol?: "grpc" | "grpc-web" | "connect";
  readonly tls?: ClientTlsOptions;
}

/** A Connect transport that can be let go of. */
export interface ClosableTransport extends Transport {
  /** Closes the connection; calls in flight end with CANCELLED. */
  close(): void;
}

/** Creates a client transport over one HTTP/2 connection, opened with the first call and again when it was lost. */
export function createTransport(options: TransportOptions): ClosableTransport {
  const { baseUrl, protocol = "grpc", tls = {} } = options;
  const create = { grpc: createGrpcTransport, "grpc-web": createGrpcWebTransport, connect: createConnectTransport }[protocol];
  const sessionManager = new Http2SessionManager(baseUrl, undefined, { ...tls });
  const transport = create({
    baseUrl,
    httpVersion: "2",
    sessionManager,
    interceptors: [lostConnections],
    readMaxBytes: defaultLimits.maxMessageBytes,
    writeMaxBytes: defaultLimits.maxMessageBytes,
  });
  // A call cancelled just now is reset in this turn of the event loop; aborting in it too would lose the reset, and to the server a
  // connection that only breaks is no cancel.
  return Object.assign(transport, { close: () => void setImmediate(() => sessionManager.abort()) });
}

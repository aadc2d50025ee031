import { constants } from "node:crypto";
import { createServer, type SecureContextOptions, type Server, type TLSSocket } from "node:tls";

/** A server's certificate, and what it asks of its peers. */
export interface TlsOptions extends Pick<SecureContextOptions, "cert" | "key" | "passphrase"> {
  /** The oldest TLS version taken. Default TLSv1.3. */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
  /** Asks every peer for a certificate that one of these PEM authorities signed. Default: asks nobody. */
  readonly clientCa?: string | Buffer;
  /**
   * What holds for a peer without a certificate, where {@link TlsOptions.clientCa} asks for one: `require`, the default, refuses its
   * connection; `optional` takes it, and `ServerExchange.peerCertificate` is undefined. A certificate that is expired or signed by
   * others is refused either way. Does nothing without `clientCa`.
   */
  readonly clientCertificates?: "require" | "optional";
}

/** A TLS server whose certificate can be changed. */
export interface TlsServer {
  readonly server: Server;
  /** See `Listener.setTls`. */
  set(options: TlsOptions): void;
}

/** Creates the server; a connection is handed on when its peer is verified. A handshake has `timeoutMs`. */
export function createTlsServer(options: TlsOptions, timeoutMs: number, onConnection: (socket: TLSSocket) => void): TlsServer {
  const mode = modeOf(options);
  const server = createServer({
    ...contextOf(options),
    requestCert: mode !== "none",
    rejectUnauthorized: mode === "require",
    ALPNProtocols: ["h2", "http/1.1"],
    handshakeTimeout: timeoutMs,
    noDelay: true,
    allowHalfOpen: true,
  });
  server.on("secureConnection", (socket) => {
    if (mode === "optional" && showsUnverified(socket)) socket.destroy();
    else onConnection(socket);
  });
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  return {
    server,
    set(changed) {
      if (modeOf(changed) !== mode) {
        throw new TypeError(`clientCertificates cannot change from ${mode} to ${modeOf(changed)} while the listener is there`);
      }
      server.setSecureContext(contextOf(changed)); // Node makes the new context before it lets go of the old one
    },
  };
}

function modeOf({ clientCa, clientCertificates = "require" }: TlsOptions): "none" | "optional" | "require" {
  return clientCa === undefined ? "none" : clientCertificates;
}

/**
 * Where certificates are asked for, no session is resumed: a resumed one is not verified again, so that a certificate would outlive its
 * end and its authority. Without tickets TLS 1.3 and 1.2 could only resume from a cache, and Node's servers have none.
 */
function contextOf({ cert, key, passphrase, clientCa, minVersion = "TLSv1.3" }: TlsOptions) {
  const context = { cert, key, minVersion, ...(passphrase !== undefined && { passphrase }) };
  return clientCa === undefined ? context : { ...context, ca: clientCa, secureOptions: constants.SSL_OP_NO_TICKET };
}

function showsUnverified(socket: TLSSocket): boolean {
  return !socket.authorized && socket.getPeerX509Certificate() !== undefined;
}

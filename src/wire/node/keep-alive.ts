import type { ClientHttp2Session } from "node:http2";
import type { SecureContextOptions } from "node:tls";

/** How a client reaches its server. */
export interface ConnectionOptions {
  readonly origin: string;
  readonly scheme: "http" | "https";
  /** Host and port. */
  readonly authority: string;
  readonly tls: Pick<SecureContextOptions, "ca" | "cert" | "key">;
  readonly connectTimeoutMs: number;
  /** How often the peer is asked whether it is there; undefined for never. */
  readonly keepaliveMs: number | undefined;
  readonly keepaliveTimeoutMs: number;
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  readonly maxHeaderBytes: number;
}

type KeepAliveOptions = Pick<ConnectionOptions, "keepaliveMs" | "keepaliveTimeoutMs"> & { readonly busy: () => boolean };

/**
 * Pings the peer while calls are open, and breaks the connection when it does not answer (gRFC A8): else a peer that vanished without
 * a word would be noticed by the operating system alone, after minutes.
 */
export function keepAlive(session: ClientHttp2Session, { keepaliveMs, keepaliveTimeoutMs, busy }: KeepAliveOptions): void {
  if (keepaliveMs === undefined) return;
  let silent: NodeJS.Timeout | undefined;
  const ask = () => {
    if (silent !== undefined || !busy() || session.destroyed) return; // one ping at a time
    silent = setTimeout(() => session.destroy(new PeerSilent(keepaliveTimeoutMs)), keepaliveTimeoutMs).unref();
    session.ping(() => {
      clearTimeout(silent);
      silent = undefined;
    });
  };
  const timer = setInterval(ask, keepaliveMs).unref();
  session.once("close", () => {
    clearInterval(timer);
    clearTimeout(silent);
  });
}

class PeerSilent extends Error {
  readonly code = "ETIMEDOUT";

  constructor(timeoutMs: number) {
    super(`the peer did not answer a ping within ${timeoutMs} ms`);
  }
}

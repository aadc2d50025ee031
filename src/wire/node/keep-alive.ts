import type { Socket } from "node:net";
import type { ClientTls } from "../client-tls.ts";

/** How a client reaches its server. */
export interface ConnectionOptions {
  readonly origin: string;
  readonly scheme: "http" | "https";
  /** Host and port. */
  readonly authority: string;
  readonly tls: ClientTls;
  readonly connectTimeoutMs: number;
  /** How often the peer is asked whether it is there; undefined for never. */
  readonly keepaliveMs: number | undefined;
  readonly keepaliveTimeoutMs: number;
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  readonly maxHeaderBytes: number;
}

/** What can be asked for a sign of life. */
interface Pinged {
  readonly busy: boolean;
  ping(answered: () => void): void;
}

/**
 * Pings the peer while calls are open, and breaks the connection when it does not answer (gRFC A8): else a peer that vanished without
 * a word would be noticed by the operating system alone, after minutes.
 */
export function keepAlive(connection: Pinged, socket: Socket, options: ConnectionOptions): void {
  const { keepaliveMs, keepaliveTimeoutMs } = options;
  if (keepaliveMs === undefined) return;
  let silent: NodeJS.Timeout | undefined;
  const ask = () => {
    if (silent !== undefined || !connection.busy) return; // one ping at a time
    silent = setTimeout(() => socket.destroy(new PeerSilent(keepaliveTimeoutMs)), keepaliveTimeoutMs).unref();
    connection.ping(() => {
      clearTimeout(silent);
      silent = undefined;
    });
  };
  const timer = setInterval(ask, keepaliveMs).unref();
  socket.once("close", () => {
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

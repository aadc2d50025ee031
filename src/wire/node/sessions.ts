import { constants, type ServerHttp2Session } from "node:http2";
import type { Limits } from "../../core/index.ts";

/** The highest stream id: a GOAWAY with it says "no new streams, please" and refuses none (RFC 9113, section 6.8). */
const maxStreamId = 2 ** 31 - 1;

/** How long a peer has to answer the ping before it is taken to have seen the GOAWAY; far longer than a round trip. */
const pingTimeoutMs = 500;

/** The HTTP/2 connections of a server. */
export interface Sessions {
  add(session: ServerHttp2Session): void;
  /** Sends GOAWAY to every peer; a session ends with its last stream. */
  drain(): void;
  /** Ends every session at once. */
  destroy(): void;
}

export function createSessions(limits: Limits): Sessions {
  const sessions = new Set<ServerHttp2Session>();
  let draining = false;
  return {
    add(session) {
      session.setLocalWindowSize(limits.connectionWindowBytes);
      sessions.add(session);
      session.once("close", () => sessions.delete(session));
      if (draining) session.close();
    },
    drain() {
      draining = true;
      for (const session of sessions) goAway(session);
    },
    destroy() {
      for (const session of sessions) session.destroy();
    },
  };
}

/**
 * Ends a session without losing a call: the first GOAWAY only warns; the one that counts follows when the answer to a ping shows
 * that the peer has seen it, so that no stream it opened meanwhile is refused.
 */
function goAway(session: ServerHttp2Session): void {
  if (session.closed || session.destroyed) return;
  session.goaway(constants.NGHTTP2_NO_ERROR, maxStreamId);
  const finish = () => {
    clearTimeout(timer);
    if (!session.destroyed) session.close();
  };
  const timer = setTimeout(finish, pingTimeoutMs);
  if (!session.ping(finish)) finish();
}

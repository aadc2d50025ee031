import type { X509Certificate } from "node:crypto";

/** Trust for `https` URLs. No session is ever resumed: every connection is verified anew. */
export interface ClientTlsOptions {
  /** PEM certificates of the authorities to trust instead of the system's. */
  readonly ca?: string | Buffer;
  /** The client's own certificate, for servers that ask for one, and its key, both PEM. */
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  /**
   * Decides whether a server is the right one, in place of the check of its host name. It is called for each new connection, when an
   * authority has vouched for the certificate, and before a byte of a request is sent; what it throws refuses the connection, and
   * fails the calls that wait for it with UNAVAILABLE and its message.
   */
  readonly verifyPeer?: (certificate: X509Certificate) => void;
}

/**
 * Options that may change: a function, or what `watchCertificates` gives, is asked for each new connection (over HTTP/1.1 for each request,
 * which goes over a kept connection only when that was made with the same certificates). When the function throws, calls fail with UNAVAILABLE.
 */
export type ClientTls = ClientTlsOptions | (() => ClientTlsOptions) | { readonly current: ClientTlsOptions };

/** What holds now. @throws whatever the function throws. */
export function currentTls(tls: ClientTls): ClientTlsOptions {
  if (typeof tls === "function") return tls();
  return "current" in tls ? tls.current : tls;
}

/** A server whose certificate is in order, but whom {@link ClientTlsOptions.verifyPeer} did not take. */
export class PeerRefused extends Error {
  override readonly name = "PeerRefused";
  readonly code = "ERR_PEER_REFUSED";

  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

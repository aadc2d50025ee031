import { X509Certificate } from "node:crypto";
import type { ConnectionOptions } from "node:tls";
import { type ClientTls, currentTls, PeerRefused } from "../client-tls.ts";

/** The same for Node. It asks `checkServerIdentity` once an authority has vouched for the certificate, and never for a resumed session. */
export function connectOptions(tls: ClientTls): ConnectionOptions {
  const { ca, cert, key, verifyPeer } = currentTls(tls);
  return {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    ...(verifyPeer !== undefined && {
      checkServerIdentity: (_host, { raw }) => refusal(verifyPeer, raw),
    }),
  };
}

function refusal(verify: (certificate: X509Certificate) => void, raw: Buffer): Error | undefined {
  try {
    verify(new X509Certificate(raw));
    return undefined;
  } catch (thrown) {
    return new PeerRefused(thrown);
  }
}

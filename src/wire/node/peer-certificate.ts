import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";

/** What each connection showed: Node copies the certificate whenever it is asked. */
const known = new WeakMap<TLSSocket, Uint8Array>();

/** The peer's certificate in DER, when it showed one that the server's authorities verified. */
export function peerCertificateOf(socket: Socket): Uint8Array | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  let certificate: Uint8Array | undefined = known.get(socket);
  if (certificate === undefined) {
    certificate = socket.getPeerX509Certificate()?.raw;
    if (certificate !== undefined) known.set(socket, certificate);
  }
  return certificate;
}

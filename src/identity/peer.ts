import type { X509Certificate } from "node:crypto";
import { parseSpiffeId, spiffeIdOf } from "./spiffe.ts";

/**
 * A check of servers, for `ClientTlsOptions.verifyPeer`: takes the one whose certificate has this SPIFFE id, whatever its host name.
 *
 * @throws TypeError when the id is none. The check throws an Error that says who the server is instead.
 */
export function verifySpiffeId(expected: string): (certificate: X509Certificate) => void {
  const { id } = parseSpiffeId(expected);
  return (certificate) => {
    const found = spiffeIdOf(certificate).id;
    if (found !== id) throw new Error(`it is ${found}, and has to be ${id}`);
  };
}

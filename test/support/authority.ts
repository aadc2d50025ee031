import "reflect-metadata"; // @peculiar/x509 needs it, and expects the program to bring it
import {
  type JsonGeneralNames,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { type CertificatePair, createAuthority } from "../../src/identity/index.ts";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const hourMs = 60 * 60 * 1000;

/** What our own authority would not sign. */
export interface OddCertificate {
  readonly names: JsonGeneralNames;
  /** Milliseconds from now. Default: an hour ago. */
  readonly fromMs?: number;
  /** Milliseconds from now. Default: in an hour. */
  readonly untilMs?: number;
}

/** A certificate with any names and times, for localhost and 127.0.0.1 too. */
export async function signCertificate(authority: CertificatePair, odd: OddCertificate): Promise<CertificatePair> {
  const { names, fromMs = -hourMs, untilMs = hourMs } = odd;
  const issuer = new X509Certificate(authority.certificate);
  const keyBytes = Buffer.from(authority.key.replace(/-----[^-]+-----|\s/g, ""), "base64");
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.create({
    subject: "CN=odd",
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey: await crypto.subtle.importKey("pkcs8", keyBytes, algorithm, false, ["sign"]),
    signingAlgorithm: algorithm,
    notBefore: new Date(Date.now() + fromMs),
    notAfter: new Date(Date.now() + untilMs),
    extensions: [
      new SubjectAlternativeNameExtension([...names, { type: "dns", value: "localhost" }, { type: "ip", value: "127.0.0.1" }]),
    ],
  });
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  return {
    certificate: certificate.toString("pem"),
    key: `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`,
  };
}

/** An authority for `example.org`. */
export function exampleAuthority(): Promise<CertificatePair> {
  return createAuthority({ trustDomain: "example.org" });
}

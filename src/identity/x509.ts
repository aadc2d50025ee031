import "reflect-metadata"; // @peculiar/x509 needs it, and expects the program to bring it
import { AsnConvert } from "@peculiar/asn1-schema";
import { GeneralName, GeneralSubtree, GeneralSubtrees, id_ce_nameConstraints, NameConstraints } from "@peculiar/asn1-x509";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const { subtle } = crypto;

/** Clocks of other machines may be behind. */
const clockSkewMs = 5 * 60 * 1000;

/** A certificate and its private key, both PEM; the key is PKCS#8. */
export interface CertificatePair {
  readonly certificate: string;
  readonly key: string;
}

/** What a certificate says of its agent. */
export interface CertificateContent {
  /** The subject's common name. */
  readonly name: string;
  /** The SPIFFE id. */
  readonly id: string;
  readonly dns: readonly string[];
  readonly ips: readonly string[];
  readonly notAfter: Date;
}

/** A self-signed authority for one trust domain. */
export async function generateAuthority(trustDomain: string, notAfter: Date): Promise<CertificatePair> {
  const keys = await generateKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [`${trustDomain.slice(0, 40)} development CA`] }],
    serialNumber: randomSerial(),
    keys,
    signingAlgorithm: algorithm,
    notBefore: new Date(Date.now() - clockSkewMs),
    notAfter,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      permittedUris(trustDomain),
      new SubjectAlternativeNameExtension([{ type: "url", value: `spiffe://${trustDomain}` }]),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: pem(certificate), key: await exportKey(keys.privateKey) };
}

/** A certificate for both sides of TLS, signed by the authority. */
export async function generateCertificate(authority: CertificatePair, content: CertificateContent): Promise<CertificatePair> {
  const issuer = new X509Certificate(authority.certificate);
  const der = Buffer.from(authority.key.replace(/-----[^-]+-----|\s/g, ""), "base64");
  const signingKey = await subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
  const keys = await generateKeys();
  const certificate = await X509CertificateGenerator.create({
    subject: [{ CN: [content.name] }],
    issuer: issuer.subjectName,
    serialNumber: randomSerial(),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: algorithm,
    notBefore: new Date(Date.now() - clockSkewMs),
    notAfter: content.notAfter,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension([
        { type: "url", value: content.id },
        ...content.dns.map((value) => ({ type: "dns" as const, value })),
        ...content.ips.map((value) => ({ type: "ip" as const, value })),
      ]),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return { certificate: pem(certificate), key: await exportKey(keys.privateKey) };
}

/** RFC 5280, section 4.2.1.10: of URIs the host alone is constrained, which for a SPIFFE id is the trust domain. */
function permittedUris(host: string): Extension {
  const base = new GeneralName({ uniformResourceIdentifier: host });
  const permittedSubtrees = new GeneralSubtrees([new GeneralSubtree({ base })]);
  return new Extension(id_ce_nameConstraints, true, AsnConvert.serialize(new NameConstraints({ permittedSubtrees })));
}

function generateKeys() {
  return subtle.generateKey(algorithm, true, ["sign", "verify"]);
}

/** RFC 5280, section 4.1.2.2: positive and unique, of at most 20 bytes. */
function randomSerial(): string {
  const bytes = Buffer.from(crypto.getRandomValues(new Uint8Array(16)));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString("hex");
}

function pem(certificate: X509Certificate): string {
  return `${certificate.toString("pem")}\n`;
}

async function exportKey(key: CryptoKey): Promise<string> {
  const lines =
    Buffer.from(await subtle.exportKey("pkcs8", key))
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN PRIVATE KEY-----\n${lines.join("\n")}\n-----END PRIVATE KEY-----\n`;
}

import { createPrivateKey, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { parseSpiffeId, type SpiffeId, spiffeIdOf } from "./spiffe.ts";
import type { CertificatePair } from "./x509.ts";

export interface AuthorityOptions {
  /** The only trust domain that it can sign for, such as `example.org`. */
  readonly trustDomain: string;
  /** How long it is valid, in milliseconds. Default 365 days: it is for development, and a new one is one command. */
  readonly validMs?: number;
}

export interface IssueOptions {
  /** The agent: the last segment of its SPIFFE id, `spiffe://TRUST-DOMAIN/agent/NAME`. */
  readonly name: string;
  /** Host names by which it is called. Default `localhost`, when no IP address is given either. */
  readonly dns?: readonly string[];
  /** IP addresses by which it is called. Default 127.0.0.1 and ::1, when no host name is given either. */
  readonly ips?: readonly string[];
  /** How long it is valid, in milliseconds. Default 24 hours: a stolen key is soon worth nothing. */
  readonly validMs?: number;
}

const hourMs = 60 * 60 * 1000;

/** How long certificates are valid where nothing else is asked for, in milliseconds. */
export const defaultValidity = { authorityMs: 365 * 24 * hourMs, certificateMs: 24 * hourMs } as const;

/** X.520 bounds a common name. */
const maxNameChars = 64;

/**
 * Makes a certificate authority for development: ECDSA P-256, signs itself, signs no other authorities (`pathlen:0`), and by its name
 * constraints no SPIFFE ids of other trust domains (RFC 5280, sections 4.2.1.9 and 4.2.1.10).
 *
 * @throws TypeError for what is no trust domain, RangeError for a time that is none.
 */
export async function createAuthority({
  trustDomain,
  validMs = defaultValidity.authorityMs,
}: AuthorityOptions): Promise<CertificatePair> {
  if (parseSpiffeId(`spiffe://${trustDomain}`).path !== "")
    throw new TypeError(`"${trustDomain}" is no trust domain: it must have no path`);
  const { generateAuthority } = await import("./x509.ts"); // 100 ms of modules, which no server needs
  return generateAuthority(trustDomain, notAfter(validMs));
}

/**
 * Issues a certificate for an agent, good for both sides of TLS, with a new key: its SPIFFE id is its one URI (X509-SVID, section 2).
 *
 * @throws TypeError for a name or address that cannot be, and for an authority that is none of ours; RangeError for a time that is
 * none, or longer than the authority itself is valid.
 */
export async function issueCertificate(authority: CertificatePair, options: IssueOptions): Promise<CertificatePair> {
  const { name, validMs = defaultValidity.certificateMs } = options;
  const { dns, ips } = addresses(options);
  const { trustDomain, validTo } = readAuthority(authority);
  const end = notAfter(validMs);
  if (end > validTo) {
    throw new RangeError(`the authority is valid until ${validTo.toISOString()}, and cannot sign for longer; make a new one`);
  }
  const { generateCertificate } = await import("./x509.ts"); // as above
  return generateCertificate(authority, { name: checkName(name), id: agentId(trustDomain, name), dns, ips, notAfter: end });
}

/** The SPIFFE id of the agent with this name. @throws TypeError when the name cannot be part of one. */
export function agentId(trustDomain: string, name: string): string {
  return parseSpiffeId(`spiffe://${trustDomain}/agent/${name}`).id;
}

/** @throws TypeError for what cannot be the name of a certificate. */
export function checkName(name: string): string {
  if (!/^[A-Za-z0-9._-]+$/.test(name)) {
    throw new TypeError(
      `${JSON.stringify(name)} is no name for a certificate: it has letters, digits, dots, dashes and underscores`,
    );
  }
  if (name.length > maxNameChars)
    throw new TypeError(`the name is ${name.length} characters long; at most ${maxNameChars} fit`);
  return name;
}

function addresses({ dns, ips }: IssueOptions): { dns: readonly string[]; ips: readonly string[] } {
  if ((dns?.length ?? 0) + (ips?.length ?? 0) === 0) return { dns: ["localhost"], ips: ["127.0.0.1", "::1"] };
  for (const each of dns ?? []) {
    const label = /^(?:\*|[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?)(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?)*$/i;
    if (each.length > 253 || !label.test(each)) throw new TypeError(`${JSON.stringify(each)} is no host name`);
    if (isIP(each) !== 0) throw new TypeError(`${each} is an IP address and no host name`);
  }
  for (const each of ips ?? []) if (isIP(each) === 0) throw new TypeError(`${JSON.stringify(each)} is no IP address`);
  return { dns: dns ?? [], ips: ips ?? [] };
}

function readAuthority({ certificate, key }: CertificatePair): { trustDomain: string; validTo: Date } {
  const { parsed, privateKey } = parsePair(certificate, key);
  if (!parsed.ca) throw new TypeError("the certificate is no authority's");
  if (!parsed.checkPrivateKey(privateKey)) throw new TypeError("the authority's key belongs to another certificate");
  const { trustDomain, path }: SpiffeId = spiffeIdOf(parsed);
  if (path !== "") throw new TypeError("the authority has to name its trust domain alone");
  return { trustDomain, validTo: new Date(parsed.validTo) };
}

function parsePair(certificate: string, key: string) {
  try {
    return { parsed: new X509Certificate(certificate), privateKey: createPrivateKey(key) };
  } catch (cause) {
    throw new TypeError("the authority's certificate and key are not both PEM", { cause });
  }
}

function notAfter(validMs: number): Date {
  if (!Number.isSafeInteger(validMs) || validMs <= 0) throw new RangeError(`a certificate cannot be valid for ${validMs} ms`);
  const end = new Date(Date.now() + validMs);
  if (!(end.getUTCFullYear() < 2050)) throw new RangeError("a certificate cannot be valid beyond the year 2049");
  return end;
}

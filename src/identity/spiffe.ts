import type { X509Certificate } from "node:crypto";

/** A SPIFFE id (SPIFFE-ID specification, section 2): who a workload is, within a trust domain. */
export interface SpiffeId {
  /** The whole id, such as `spiffe://example.org/agent/scheduler`. Two ids are the same when these are. */
  readonly id: string;
  /** Such as `example.org`. */
  readonly trustDomain: string;
  /** Begins with `/`; empty for the trust domain itself. */
  readonly path: string;
}

/** What implementations have to take (SPIFFE-ID, section 2.3). */
const maxIdBytes = 2048;
/** SPIFFE-ID, section 2.1. */
const maxTrustDomainBytes = 255;
const scheme = "spiffe://";

/**
 * Reads a SPIFFE id. It is taken only as it is compared: in lower case up to the path, without port, query, fragment or escapes.
 *
 * @throws TypeError that says what is wrong with it.
 */
export function parseSpiffeId(text: string): SpiffeId {
  const refuse = (why: string) => new TypeError(`${JSON.stringify(text.slice(0, maxQuotedChars))} is no SPIFFE id: ${why}`);
  if (!text.startsWith(scheme)) throw refuse("it has to begin with spiffe://");
  if (Buffer.byteLength(text) > maxIdBytes) throw refuse(`it is longer than ${maxIdBytes} bytes`);
  const slash = text.indexOf("/", scheme.length);
  const trustDomain = slash < 0 ? text.slice(scheme.length) : text.slice(scheme.length, slash);
  const path = slash < 0 ? "" : text.slice(slash);
  const problem = trustDomainProblem(trustDomain) ?? pathProblem(path);
  if (problem !== undefined) throw refuse(problem);
  return { id: text, trustDomain, path };
}

/** An id may be 2,048 bytes; a sentence about a wrong one need not be. */
const maxQuotedChars = 200;

function trustDomainProblem(trustDomain: string): string | undefined {
  if (trustDomain === "") return "the trust domain is missing";
  if (trustDomain.length > maxTrustDomainBytes) return `the trust domain is longer than ${maxTrustDomainBytes} bytes`;
  if (/^[a-z0-9._-]+$/.test(trustDomain)) return undefined;
  return "a trust domain has lower-case letters, digits, dots, dashes and underscores alone";
}

function pathProblem(path: string): string | undefined {
  if (path === "") return undefined;
  if (path.endsWith("/")) return "it must not end with a slash";
  for (const segment of path.slice(1).split("/")) {
    if (segment === "") return "its path has an empty segment";
    if (segment === "." || segment === "..") return "its path has a dot segment";
    if (!/^[A-Za-z0-9._-]+$/.test(segment)) {
      return "a path has letters, digits, dots, dashes and underscores alone, in segments parted by slashes";
    }
  }
  return undefined;
}

/**
 * The SPIFFE id of a certificate: its one URI among the subject's alternative names (X509-SVID, section 2). Whether the certificate is
 * to be trusted is for TLS to say.
 *
 * @throws TypeError when it has no URI, more than one, or one that is no SPIFFE id.
 */
export function spiffeIdOf(certificate: X509Certificate): SpiffeId {
  const uris = alternativeNames(certificate.subjectAltName ?? "").flatMap(({ kind, value }) => (kind === "URI" ? [value] : []));
  const [uri] = uris;
  if (uri === undefined) throw new TypeError("the certificate names no URI, so it has no SPIFFE id");
  if (uris.length > 1) {
    throw new TypeError(`the certificate names ${uris.length} URIs; with a SPIFFE id it has exactly one`);
  }
  return parseSpiffeId(uri);
}

interface AlternativeName {
  readonly kind: string;
  readonly value: string;
}

/**
 * Node's text of the names: `KIND:VALUE, KIND:VALUE`. A value with a comma, a quote or anything unusual in it is a JSON string, so that
 * no value can look like another name (CVE-2021-44532; nodejs.org/api/crypto.html, `x509.subjectAltName`).
 *
 * @throws TypeError for text of another form.
 */
function alternativeNames(text: string): AlternativeName[] {
  const names: AlternativeName[] = [];
  const pattern = /([A-Za-z][A-Za-z0-9 ]*):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y;
  while (pattern.lastIndex < text.length) {
    const [, kind, value] = pattern.exec(text) ?? [];
    if (kind === undefined || value === undefined) throw new TypeError("the certificate's alternative names cannot be read");
    names.push({ kind, value: value.startsWith('"') ? String(JSON.parse(value)) : value });
  }
  return names;
}

import { X509Certificate } from "node:crypto";
import { unauthenticated } from "../core/index.ts";
import { type SpiffeId, spiffeIdOf } from "./spiffe.ts";
import type { TokenVerifier, VerifiedToken } from "./tokens.ts";

/** Who calls, and how that was proven. */
export type CallerIdentity = CertificateCaller | TokenCaller | AnonymousCaller;

interface Named {
  /** The caller, as policies and logs name it. No two kinds of proof give the same name. */
  readonly name: string;
}

/** A caller that showed a certificate; its name is its SPIFFE id. */
export interface CertificateCaller extends Named {
  readonly proof: "mtls";
  readonly spiffeId: SpiffeId;
  /** When its certificate ends, in milliseconds since 1970. */
  readonly expiresMs: number;
}

/** A caller that sent a bearer token; its name is `issuer#subject`. */
export interface TokenCaller extends Named {
  readonly proof: "token";
  readonly token: VerifiedToken;
  /** When its token ends, in milliseconds since 1970. */
  readonly expiresMs: number;
}

/** A caller that proved nothing; its name is `anonymous`. */
export interface AnonymousCaller extends Named {
  readonly proof: "none";
}

export const anonymous: AnonymousCaller = Object.freeze({ name: "anonymous", proof: "none" });

/** What a request brings along. */
export interface Evidence {
  /** The peer's verified certificate in DER: `ServerExchange.peerCertificate`. */
  readonly certificate?: Uint8Array | undefined;
  /** The request's `authorization` header. */
  readonly authorization?: string | undefined;
}

export interface IdentifyOptions {
  /** Trust domains whose SPIFFE ids are taken, to the letter. Default: none, so that every certificate is refused. */
  readonly trustDomains?: readonly string[];
  /** Checks bearer tokens. Without it the `authorization` header is not looked at: it is the program's own. */
  readonly tokens?: TokenVerifier;
  /** Takes callers that prove nothing. Default false. */
  readonly allowAnonymous?: boolean;
}

/**
 * Says who calls: whom the certificate names; else whom the token names; else nobody. Evidence that is there has to hold: a certificate
 * that names nobody, or a token that does not verify, is never anonymous. With a certificate the header is not looked at.
 *
 * The answer for a certificate is kept for as long as its array is: a connection hands out the same one for every request.
 *
 * @throws ConnectError UNAUTHENTICATED, with the reasons of tokens, or `CERTIFICATE_IDENTITY`, `CERTIFICATE_EXPIRED`, `TRUST_DOMAIN`, `CREDENTIALS_MISSING`;
 * UNAVAILABLE when a token cannot be checked now. A certificate's answer is given, or thrown, at once; a token's is a promise.
 */
export type Identify = (evidence: Evidence) => CallerIdentity | Promise<CallerIdentity>;

export function createIdentify({ trustDomains = [], tokens, allowAnonymous = false }: IdentifyOptions): Identify {
  const domains = new Set(trustDomains);
  const known = new WeakMap<Uint8Array, CertificateCaller>();
  return ({ certificate, authorization }) => {
    if (certificate !== undefined) {
      const caller = known.get(certificate) ?? callerOf(certificate, domains);
      known.set(certificate, caller);
      return current(caller);
    }
    if (tokens !== undefined && authorization !== undefined) return identifyToken(authorization, tokens);
    if (allowAnonymous) return anonymous;
    throw unauthenticated("the caller has to prove who it is", "CREDENTIALS_MISSING");
  };
}

function callerOf(der: Uint8Array, domains: ReadonlySet<string>): CertificateCaller {
  const certificate = new X509Certificate(der);
  const spiffeId = readSpiffeId(certificate);
  if (!domains.has(spiffeId.trustDomain)) {
    throw unauthenticated(`the trust domain ${spiffeId.trustDomain} is not one that is trusted here`, "TRUST_DOMAIN");
  }
  return { name: spiffeId.id, proof: "mtls", spiffeId, expiresMs: Date.parse(certificate.validTo) };
}

/** TLS looks at the time when a connection begins; connections last. */
function current(caller: CertificateCaller): CertificateCaller {
  if (Date.now() < caller.expiresMs) return caller;
  throw unauthenticated(
    "the certificate has expired since the connection began; connect anew with another",
    "CERTIFICATE_EXPIRED",
  );
}

function readSpiffeId(certificate: X509Certificate): SpiffeId {
  try {
    return spiffeIdOf(certificate);
  } catch (thrown) {
    const why = thrown instanceof TypeError ? thrown.message : "the certificate cannot be read";
    throw unauthenticated(why, "CERTIFICATE_IDENTITY", { cause: thrown });
  }
}

async function identifyToken(authorization: string, tokens: TokenVerifier): Promise<TokenCaller> {
  // RFC 6750, section 2.1; the scheme is in any case (RFC 9110, section 11.1)
  const [, bearer] = /^bearer +([A-Za-z0-9._~+/-]+=*) *$/i.exec(authorization) ?? [];
  if (bearer === undefined) throw unauthenticated("the authorization header holds no bearer token", "TOKEN_INVALID");
  const token = await tokens.verify(bearer);
  return { name: `${token.issuer}#${token.subject}`, proof: "token", token, expiresMs: token.expiresMs };
}

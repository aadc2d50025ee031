import type { ConnectError } from "@connectrpc/connect";
import type { JWTPayload, JWTVerifyGetKey } from "jose";
import { identityBounds, unauthenticated, unavailable } from "../core/index.ts";
import { type KeyLocation, KeySet, KeysUnavailable } from "./key-set.ts";

/**
 * Algorithms whose keys come in two halves (RFC 7518, RFC 8037, RFC 9864). `none` proves nothing, and the secret of HS256 and its like
 * would let every server that checks tokens make them.
 */
export const tokenAlgorithms = [
  ...(["ES256", "ES384", "ES512", "EdDSA", "Ed25519"] as const),
  ...(["PS256", "PS384", "PS512", "RS256", "RS384", "RS512"] as const),
] as const;

export type TokenAlgorithm = (typeof tokenAlgorithms)[number];

export interface TokenOptions {
  /** What the `iss` claim has to be, to the letter. It must hold no `#`, which parts issuer and subject in a caller's name. */
  readonly issuer: string;
  /** What the `aud` claim has to name: this server. With several, one of them. */
  readonly audience: string | readonly string[];
  /** The issuer's public keys. */
  readonly keys: KeyLocation;
  /** Default: all of {@link tokenAlgorithms}. */
  readonly algorithms?: readonly TokenAlgorithm[];
  /** By how much the issuer's clock and ours may differ, in milliseconds, to the second. Default 30 s. */
  readonly clockToleranceMs?: number;
}

/** What a token proves. */
export interface VerifiedToken {
  readonly issuer: string;
  readonly subject: string;
  /** The `exp` claim, in milliseconds since 1970. */
  readonly expiresMs: number;
  /** All claims. They are the issuer's: what a program reads of them it has to check. */
  readonly claims: Readonly<Record<string, unknown>>;
}

/** Checks bearer tokens: JSON Web Tokens (RFC 7519) of one issuer. */
export interface TokenVerifier {
  /**
   * @throws ConnectError UNAUTHENTICATED whose ErrorInfo has a {@link TokenReason}; UNAVAILABLE when the issuer's keys cannot be had.
   * Neither holds the token or its claims.
   */
  verify(token: string): Promise<VerifiedToken>;
}

/** Why a token was refused. */
export type TokenReason =
  /** Its `exp` is over. */
  | "TOKEN_EXPIRED"
  /** Its `nbf` is yet to come. */
  | "TOKEN_NOT_YET_VALID"
  | "TOKEN_ISSUER"
  | "TOKEN_AUDIENCE"
  | "TOKEN_ALGORITHM"
  /** The issuer has no such key. */
  | "TOKEN_KEY"
  /** A claim that has to be there is missing or of the wrong kind: `exp`, `sub`. */
  | "TOKEN_CLAIMS"
  /** It is no token, or its signature is not the issuer's. */
  | "TOKEN_INVALID";

const sentences: Readonly<Record<TokenReason, string>> = {
  TOKEN_EXPIRED: "the token has expired",
  TOKEN_NOT_YET_VALID: "the token is not valid yet",
  TOKEN_ISSUER: "the token is from another issuer",
  TOKEN_AUDIENCE: "the token is for another audience",
  TOKEN_ALGORITHM: "the token is signed in a way that is not accepted",
  TOKEN_KEY: "the token is signed with none of the issuer's keys that it names",
  TOKEN_CLAIMS: "the token lacks what it has to say: exp and sub",
  TOKEN_INVALID: "the token is not valid",
};

const defaultClockToleranceMs = 30_000;
/** How soon it is worth to ask again, when the keys are away. */
const retryMs = 1_000;

/**
 * Makes a verifier. Keys of a file are read at once, those of a URL when the first token comes.
 *
 * @throws TypeError or RangeError for options that cannot be, and an Error that says why a key file cannot be read.
 */
export async function createTokenVerifier(options: TokenOptions): Promise<TokenVerifier> {
  const claims = { ...checkOptions(options), requiredClaims: ["exp", "sub"] };
  const jose = await import("jose"); // not before somebody wants tokens: it is 20 ms of modules
  const keys = new KeySet(options.keys, jose);
  const find: JWTVerifyGetKey = (header, jws) => keys.find(header, jws);
  if ("file" in options.keys) await keys.load();
  return {
    async verify(token) {
      if (token.length > identityBounds.maxTokenBytes) throw refusal("TOKEN_INVALID");
      try {
        const { payload } = await jose.jwtVerify(token, find, claims);
        return verified(payload);
      } catch (thrown) {
        if (thrown instanceof KeysUnavailable) {
          throw unavailable("the token cannot be checked now: the keys of its issuer cannot be had", retryMs, {
            cause: thrown,
          });
        }
        // jose's errors carry the claims: they do not go on, not even as a cause
        throw refusal(thrown instanceof Refused ? thrown.reason : reasonOf(thrown));
      }
    },
  };
}

function checkOptions({
  issuer,
  audience,
  algorithms = tokenAlgorithms,
  clockToleranceMs = defaultClockToleranceMs,
}: TokenOptions) {
  if (issuer === "" || issuer.includes("#")) throw new TypeError(`"${issuer}" is no issuer: it must be there, and hold no #`);
  const audiences = [audience].flat();
  if (audiences.length === 0 || audiences.includes("")) throw new TypeError("audience must name who the tokens are for");
  const unknown = algorithms.find((each) => !tokenAlgorithms.includes(each));
  if (unknown !== undefined || algorithms.length === 0) {
    throw new RangeError(`algorithms has ${unknown ?? "nothing"}; take some of ${tokenAlgorithms.join(", ")}`);
  }
  if (!(clockToleranceMs >= 0 && clockToleranceMs <= 5 * 60_000)) {
    throw new RangeError(`clockToleranceMs is ${clockToleranceMs}; it must be from 0 to 300000`);
  }
  return { issuer, audience: audiences, algorithms: [...algorithms], clockTolerance: Math.floor(clockToleranceMs / 1_000) };
}

class Refused extends Error {
  readonly reason: TokenReason;

  constructor(reason: TokenReason) {
    super(reason);
    this.reason = reason;
  }
}

function verified({ iss, sub, exp, ...rest }: JWTPayload): VerifiedToken {
  const named = typeof sub === "string" && sub.length > 0 && sub.length <= identityBounds.maxSubjectChars;
  // A subject goes into names, policies and logs.
  if (!named || /\p{Cc}/u.test(sub) || iss === undefined || exp === undefined) throw new Refused("TOKEN_CLAIMS");
  return { issuer: iss, subject: sub, expiresMs: exp * 1_000, claims: { iss, sub, exp, ...rest } };
}

function refusal(reason: TokenReason): ConnectError {
  return unauthenticated(sentences[reason], reason);
}

const byCode: Readonly<Record<string, TokenReason>> = {
  ERR_JWT_EXPIRED: "TOKEN_EXPIRED",
  ERR_JOSE_ALG_NOT_ALLOWED: "TOKEN_ALGORITHM",
  ERR_JWKS_NO_MATCHING_KEY: "TOKEN_KEY",
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: "TOKEN_KEY",
};

function reasonOf(thrown: unknown): TokenReason {
  if (!(thrown instanceof Error) || !("code" in thrown)) return "TOKEN_INVALID";
  if (thrown.code !== "ERR_JWT_CLAIM_VALIDATION_FAILED") return byCode[String(thrown.code)] ?? "TOKEN_INVALID";
  const { claim, reason } = thrown as { claim?: unknown; reason?: unknown }; // what errors of this code have
  if (claim === "iss") return "TOKEN_ISSUER";
  if (claim === "aud") return "TOKEN_AUDIENCE";
  return claim === "nbf" && reason === "check_failed" ? "TOKEN_NOT_YET_VALID" : "TOKEN_CLAIMS";
}

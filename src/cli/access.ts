import { X509Certificate } from "node:crypto";
import { type Command, InvalidArgumentError, Option } from "commander";
import {
  type CertificateFiles,
  createTokenVerifier,
  parseSpiffeId,
  spiffeIdOf,
  type WatchedFiles,
  watchCertificates,
  watchPolicy,
} from "../identity/index.ts";
import type { AccessOptions } from "../server/index.ts";
import { collect } from "./collect.ts";
import { orUsageError, UsageError } from "./failure.ts";

/** The options by which a server proves who it is, and says who may call. */
export interface AccessFlags {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly clientCa?: string;
  readonly clientCertificates?: "require" | "optional";
  readonly trustDomain?: string[];
  readonly tokenIssuer?: string;
  readonly tokenAudience?: string[];
  readonly tokenJwks?: string;
  readonly allowAnonymous?: boolean;
  readonly policy?: string;
}

/** What they come to. Files are watched, save that of the tokens' keys, which is read again by itself. */
export interface ServerAccess {
  /** Undefined without TLS. */
  readonly tls: WatchedFiles<CertificateFiles> | undefined;
  /** Undefined where everybody may call. */
  readonly access: AccessOptions | undefined;
}

/** Adds them, so that they read the same in every command. */
export function withAccess(command: Command): Command {
  return command
    .option("--tls-cert <file>", "PEM certificate chain; with --tls-key, serves TLS. Files that change are read again")
    .option("--tls-key <file>", "PEM private key")
    .option("--client-ca <file>", "PEM authorities of callers: asks them for a certificate with a SPIFFE id")
    .addOption(
      new Option(
        "--client-certificates <mode>",
        "with --client-ca (default: require, or optional where tokens or anonymous callers are taken)",
      ).choices(["require", "optional"]),
    )
    .option(
      "--trust-domain <name>",
      "the domain of callers' SPIFFE ids; can be repeated (default: that of the server's own certificate)",
      collectTrustDomain,
    )
    .option("--token-issuer <issuer>", "takes bearer tokens (JWT) of this issuer, beside or instead of certificates")
    .option("--token-audience <name>", "whom the tokens are for, this server; can be repeated", collect)
    .option("--token-jwks <file or url>", "the issuer's public keys (JWKS)")
    .option("--allow-anonymous", "takes callers that prove nothing too")
    .option("--policy <file>", "JSON rules, who may call what (default: whoever is known may call everything)");
}

/** @throws UsageError for options that do not go together, and for files that are not in order. @param ca the file of servers' authorities. */
export async function readAccess(flags: AccessFlags, ca: string | undefined): Promise<ServerAccess> {
  checkTogether(flags);
  const { tlsCert: cert, tlsKey: key, clientCa, clientCertificates = modeOf(flags) } = flags;
  const asked = clientCa === undefined ? {} : { clientCa, clientCertificates };
  const tls =
    cert === undefined || key === undefined
      ? undefined
      : await orUsageError(watchCertificates({ cert, key, ...(ca !== undefined && { ca }), ...asked }));
  return { tls, access: await readRules(flags, tls) };
}

/** True where who proves nothing may call, as a browser does. */
export function isOpen({ access }: ServerAccess): boolean {
  return access === undefined || access.allowAnonymous === true;
}

async function readRules(flags: AccessFlags, tls: ServerAccess["tls"]): Promise<AccessOptions | undefined> {
  const { clientCa, trustDomain, tokenIssuer, tokenAudience, tokenJwks, allowAnonymous = false, policy } = flags;
  if (clientCa === undefined && tokenIssuer === undefined && policy === undefined && !allowAnonymous) return undefined;
  const tokens =
    tokenIssuer === undefined || tokenAudience === undefined || tokenJwks === undefined
      ? undefined
      : await orUsageError(createTokenVerifier({ issuer: tokenIssuer, audience: tokenAudience, keys: keysAt(tokenJwks) }));
  return {
    allowAnonymous,
    ...(clientCa !== undefined && tls && { trustDomains: trustDomain ?? [ownTrustDomain(tls.current)] }),
    ...(tokens && { tokens }),
    ...(policy !== undefined && { policy: await orUsageError(watchPolicy(policy)) }),
  };
}

function checkTogether(flags: AccessFlags): void {
  const { tlsCert, tlsKey, clientCa, clientCertificates, trustDomain, allowAnonymous = false, policy } = flags;
  const tokenFlags = [flags.tokenIssuer, flags.tokenAudience, flags.tokenJwks];
  const tokens = tokenFlags.some((flag) => flag !== undefined);
  const wrong: readonly (readonly [boolean, string])[] = [
    [(tlsCert === undefined) !== (tlsKey === undefined), "TLS needs both --tls-cert and --tls-key"],
    [clientCa !== undefined && tlsCert === undefined, "--client-ca needs TLS; add --tls-cert and --tls-key"],
    [clientCertificates !== undefined && clientCa === undefined, "--client-certificates needs --client-ca"],
    [trustDomain !== undefined && clientCa === undefined, "--trust-domain is about certificates; add --client-ca"],
    [tokens && tokenFlags.includes(undefined), "tokens need all of --token-issuer, --token-audience and --token-jwks"],
    [
      clientCertificates === "require" && (tokens || allowAnonymous),
      `with --client-certificates require nobody can call by ${tokens ? "token" : "no proof"}; leave it out, or write optional`,
    ],
    [
      policy !== undefined && clientCa === undefined && !tokens && !allowAnonymous,
      "with --policy callers have to be known; add --client-ca, --token-issuer and its like, or --allow-anonymous",
    ],
  ];
  const [, sentence] = wrong.find(([holds]) => holds) ?? [];
  if (sentence !== undefined) throw new UsageError(sentence);
}

/** Who may call without a certificate must be able to connect without one. */
function modeOf({ tokenIssuer, allowAnonymous = false }: AccessFlags): "require" | "optional" {
  return tokenIssuer !== undefined || allowAnonymous ? "optional" : "require";
}

function ownTrustDomain({ cert }: CertificateFiles): string {
  try {
    return spiffeIdOf(new X509Certificate(cert)).trustDomain;
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new UsageError(`--client-ca needs --trust-domain: in the server's own --tls-cert, ${why}`);
  }
}

function keysAt(place: string) {
  return /^https?:\/\//i.test(place) ? { url: place } : { file: place };
}

function collectTrustDomain(name: string, before: string[] = []): string[] {
  try {
    if (parseSpiffeId(`spiffe://${name}`).path === "") return [...before, name];
  } catch {
    // said below
  }
  throw new InvalidArgumentError("write the name alone, such as example.org");
}

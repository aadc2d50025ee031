import { type Command, Option } from "commander";
import { verifySpiffeId, watchAuthorities, watchCertificates } from "../identity/index.ts";
import { type ClientTls, isLoopbackName } from "../wire/index.ts";
import { orUsageError, UsageError } from "./failure.ts";
import { readOptionFile } from "./input.ts";

/** The options of every command that calls a server, by which both sides prove who they are. */
export interface CredentialFlags {
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly token?: string;
  readonly identity?: string;
}

/** What they come to. */
export interface Credentials {
  readonly tls: ClientTls;

  /** The `authorization` header, when there is a token. */
  readonly metadata: [name: string, value: string][];
}

export const tokenVariable = "CONVOKE_TOKEN";

/** Adds them, so that they read the same in every command. */
export function withCredentials(command: Command): Command {
  return command
    .option("--tls-ca <file>", "PEM certificates of the authorities to trust (default: the system's)")
    .option("--tls-cert <file>", "PEM certificate chain to show the server; with --tls-key")
    .option("--tls-key <file>", "PEM private key")
    .option("--identity <id>", "the SPIFFE id that the server has to prove, whatever its host name")
    .addOption(new Option("--token <file>", `a file with a bearer token (env: ${tokenVariable}, the token itself)`));
}

/**
 * Reads the files; they are read again when they change.
 *
 * @param targets the servers that are called, with scheme or without.
 * @throws UsageError when a file is not in order, options lack each other, or clear text cannot carry what they name.
 */
export async function readCredentials(flags: CredentialFlags, targets: readonly string[]): Promise<Credentials> {
  const { tlsCa, tlsCert, identity } = flags;
  const files = await readFiles(flags);
  const verifyPeer = identity === undefined ? undefined : readIdentity(identity);
  const token = readToken(flags.token);
  const clear = targets.filter((target) => !/^https:/i.test(target));
  const [secured] =
    Object.entries({ "tls-ca": tlsCa, "tls-cert": tlsCert, identity }).find(([, value]) => value !== undefined) ?? [];
  if (secured !== undefined && clear[0] !== undefined) {
    throw new UsageError(`--${secured} is for https, and ${clear[0]} is called in clear text; write https://HOST:PORT`);
  }
  const exposed = clear.find((target) => !isLoopbackName(hostOf(target)));
  if (token !== undefined && exposed !== undefined) {
    throw new UsageError(`the token would go in clear text to ${exposed}; write https://HOST:PORT`);
  }
  return {
    tls: () => ({ ...files?.current, ...(verifyPeer && { verifyPeer }) }),
    metadata: token === undefined ? [] : [["authorization", `Bearer ${token}`]],
  };
}

async function readFiles({ tlsCa: ca, tlsCert: cert, tlsKey: key }: CredentialFlags) {
  if (cert !== undefined && key !== undefined) {
    return orUsageError(watchCertificates({ cert, key, ...(ca !== undefined && { ca }) }));
  }
  if (cert !== key) throw new UsageError("a certificate needs both --tls-cert and --tls-key");
  return ca === undefined ? undefined : orUsageError(watchAuthorities(ca));
}

function readIdentity(id: string) {
  try {
    return verifySpiffeId(id);
  } catch (thrown) {
    throw new UsageError(`--identity: ${thrown instanceof Error ? thrown.message : thrown}`);
  }
}

/** RFC 6750, section 2.1. */
function readToken(file: string | undefined): string | undefined {
  const text = file === undefined ? process.env[tokenVariable] : readOptionFile("--token", file).toString("utf8");
  if (text === undefined || (file === undefined && text === "")) return undefined;
  const token = text.trim();
  if (/^[A-Za-z0-9._~+/-]+=*$/.test(token)) return token;
  throw new UsageError(`${file === undefined ? tokenVariable : `--token: ${file}`} holds no bearer token`);
}

function hostOf(target: string): string {
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(target)
    ? target
    : `http://${target.startsWith(":") ? `127.0.0.1${target}` : target}`;
  return URL.canParse(url) ? new URL(url).host : "";
}

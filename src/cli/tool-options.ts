import { X509Certificate } from "node:crypto";
import { spiffeIdOf } from "../identity/index.ts";
import { type AccessFlags, isOpen, type ServerAccess } from "./access.ts";
import { tokenVariable } from "./credentials.ts";
import { shellQuote } from "./shell-quote.ts";

/** What the lines that call a server need beside the question: each empty, or words with a blank after the last. */
export interface ToolOptions {
  readonly curl: string;
  readonly convoke: string;
  readonly grpcurl: string;
  /** For `convoke serve`, to register at the server. */
  readonly register: string;
}

export interface ToolOptionsInit extends ServerAccess {
  readonly url: string;
  readonly flags: AccessFlags;
}

/** Trust, a certificate to show, a token to send: as the server asks for them. */
export function toolOptions({ url, flags, tls, access }: ToolOptionsInit): ToolOptions {
  if (tls === undefined) {
    const header = tokenHeader(access);
    return { curl: header, convoke: "", grpcurl: `-plaintext ${header}`, register: "" };
  }
  const own = new X509Certificate(tls.current.cert);
  const { tlsCert = "", tlsKey = "", clientCa = "" } = flags;
  const known = tls.current.clientCa === undefined ? undefined : isIssued(own, tls.current.clientCa);
  if (known === undefined || isOpen({ tls, access })) {
    const header = tokenHeader(access);
    const trust = (option: string) => (own.checkIssued(own) ? `${option} ${shellQuote(tlsCert)} ` : ""); // others are the system's to trust
    return {
      curl: `-k ${header}`,
      convoke: trust("--tls-ca"),
      grpcurl: `-insecure ${header}`,
      register: trust("--registry-ca"),
    };
  }
  // The server's own certificate may call it, too, when the authority of its callers signed it.
  const [cert, key] = known ? [shellQuote(tlsCert), shellQuote(tlsKey)] : ["caller.crt", "caller.key"];
  const ca = shellQuote(clientCa);
  const trusted = known && isFor(own, new URL(url).hostname);
  return {
    curl: `${trusted ? `--cacert ${ca}` : "-k"} --cert ${cert} --key ${key} `,
    convoke: `${known ? `--tls-ca ${ca} ` : ""}--tls-cert ${cert} --tls-key ${key} ${known && !trusted ? identityOption(own) : ""}`,
    register: `${known ? `--registry-ca ${ca} ` : ""}--tls-cert ${cert} --tls-key ${key} `,
    grpcurl: `${trusted ? `-cacert ${ca}` : "-insecure"} -cert ${cert} -key ${key} `,
  };
}

function tokenHeader(access: ServerAccess["access"]): string {
  const asks = access?.tokens !== undefined && access.allowAnonymous !== true;
  return asks ? `-H "authorization: Bearer $${tokenVariable}" ` : "";
}

function isIssued(certificate: X509Certificate, authorities: Buffer): boolean {
  const authority = new X509Certificate(authorities);
  return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}

function isFor(certificate: X509Certificate, host: string): boolean {
  const name = host.replace(/^\[|\]$/g, "");
  return (certificate.checkIP(name) ?? certificate.checkHost(name)) !== undefined;
}

/** Whose certificate is for other hosts can still say who it is. */
function identityOption(certificate: X509Certificate): string {
  try {
    return `--identity ${shellQuote(spiffeIdOf(certificate).id)} `;
  } catch {
    return "";
  }
}

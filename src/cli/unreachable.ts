import type { ConnectError } from "@connectrpc/connect";

/** What Node's error codes of a connection mean, and what helps. The first pattern that matches counts. */
const problems: readonly (readonly [code: RegExp, sentence: string])[] = [
  [/^ECONNREFUSED$/, "nothing listens at this address; is the server running, and is this its port?"],
  [/^(?:ENOTFOUND|EAI_AGAIN)$/, "the host name cannot be resolved; is it written right?"],
  [
    /^(?:ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)$/,
    "the host does not answer; is this its address, and does a firewall stand between?",
  ],
  [/^(?:ECONNRESET|EPIPE)$/, "the server broke the connection off; is this the address of a Convoke server?"],
  [/^ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/, "the server speaks no TLS; write http:// instead of https://"],
  [
    /^ERR_(?:SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL|TLS_ALPN|HTTP2_ERROR)$/,
    "the server speaks no HTTP/2; is this the address of a Convoke server?",
  ],
  [
    /^(?:DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_\w+)$/,
    "the server's certificate is signed by an authority that is not trusted; --tls-ca names one to trust",
  ],
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, "the server's certificate is for another host name; call the server by that name"],
  [/^ERR_SSL_\w+_CERTIFICATE_REQUIRED$/, "the server asks for a certificate; --tls-cert and --tls-key show one"],
  [
    /^ERR_SSL_\w+_ALERT_(?:UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_\w+)$/,
    "the server does not take this side's certificate; has it expired, or is it signed by an authority that the server does not trust?",
  ],
  [
    /^ERR_CLOSED_EARLY$/,
    "the server closed the connection at once; if it speaks TLS, write https://, and if it asks for certificates, --tls-cert has to name one that it trusts",
  ],
  [/^CERT_HAS_EXPIRED$/, "the server's certificate has expired; the server needs a new one"],
];

/** Why no call could be made at all, in one sentence; undefined when the failure is of another kind. */
export function connectionProblem(error: ConnectError): string | undefined {
  for (const code of nodeCodes(error)) {
    const [, sentence] = problems.find(([pattern]) => pattern.test(code)) ?? [];
    if (sentence !== undefined) return sentence;
  }
  return undefined;
}

/** The chain of causes is Node's own and short; the bound only guards against a circle. */
const maxCauses = 8;

function nodeCodes(error: Error): string[] {
  const codes: string[] = [];
  let cause: unknown = error.cause;
  for (let depth = 0; depth < maxCauses && cause instanceof Error; depth++) {
    if ("code" in cause && typeof cause.code === "string") codes.push(cause.code);
    cause = cause.cause;
  }
  return codes;
}

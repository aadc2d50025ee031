import { Code, ConnectError } from "@connectrpc/connect";
import { codeFromHttpStatus, findTrailerError, parseContentType } from "@connectrpc/connect/protocol-grpc";
import type { Fields } from "../exchange.ts";
import { toHeaders } from "../headers.ts";
import { withoutOutcome } from "./failures.ts";
import { type ClientProtocol, type Outcome, type ResponseHead, userAgent } from "./protocol.ts";

/** gRPC over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md). */
export const grpc: ClientProtocol = {
  enveloped: true,
  endFlag: 0,
  headers: { encoding: "grpc-encoding", acceptEncoding: "grpc-accept-encoding", timeout: "grpc-timeout" },
  requestHeaders: (codec) => ["content-type", `application/grpc+${codec}`, "te", "trailers", "user-agent", userAgent],
  formatTimeout: formatGrpcTimeout,
  readHead(head) {
    const { status, headers, codec } = head;
    if (status !== 200) throw httpError(head, codeFromHttpStatus(status));
    const type = parseContentType(headers.get("content-type") ?? null);
    if (type === undefined) throw wrongType(head, Code.Unknown);
    if (type.binary !== (codec === "proto")) throw wrongType(head, Code.Internal);
    return "messages";
  },
  headerList: (headers) => headers.list(),
  readOutcome({ headers, trailers, sawBody }) {
    // "Trailers-Only" puts the status into the head, which counts when there is nothing else
    const fields = trailers.get("grpc-status") === undefined && !sawBody ? headers : trailers;
    return grpcOutcome(fields);
  },
};

/** The outcome that trailers tell. */
export function grpcOutcome(trailer: Fields): Outcome {
  const status = trailer.get("grpc-status");
  if (status === "0") return { error: undefined, trailer };
  return { error: status === undefined ? withoutOutcome(missingStatus) : failedWith(status, trailer), trailer };
}

const missingStatus = "the response ended without a grpc-status";

function failedWith(status: string, trailer: Fields): ConnectError {
  const metadata = toHeaders(trailer.list());
  const code = /^\d+$/.test(status) ? Number(status) : 0;
  if (!(code in Code)) return received(`invalid grpc-status: ${status}`, Code.Internal, metadata);
  try {
    const found = findTrailerError(metadata);
    if (found !== undefined && found.code in Code) return found;
  } catch {
    // Details or a message that cannot be read must not hide the status.
  }
  return received(decodeMessage(trailer.get("grpc-message") ?? ""), code, metadata);
}

function received(message: string, code: Code, metadata: Headers): ConnectError {
  return Object.assign(new ConnectError(message, code, metadata), { isWireError: true });
}

/** What is no percent-encoding is shown as it came (PROTOCOL-HTTP2.md, "Responses": it "MUST NOT" be an error). */
function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** At most eight digits, in the finest unit that holds them (PROTOCOL-HTTP2.md, "TimeoutValue"). */
export function formatGrpcTimeout(timeoutMs: number): string {
  const maxValue = 99_999_999;
  const ms = Math.max(1, Math.ceil(timeoutMs));
  if (ms <= maxValue) return `${ms}m`;
  const seconds = Math.ceil(ms / 1_000);
  if (seconds <= maxValue) return `${seconds}S`;
  return `${Math.min(maxValue, Math.ceil(seconds / 3_600))}H`;
}

export function httpError({ status, headers }: ResponseHead, code: Code): ConnectError {
  return new ConnectError(`the server answered with HTTP status ${status}`, code, toHeaders(headers.list()));
}

export function wrongType({ headers }: ResponseHead, code: Code): ConnectError {
  const type = JSON.stringify(headers.get("content-type") ?? "");
  return new ConnectError(`the server answered with content-type ${type}`, code, toHeaders(headers.list()));
}

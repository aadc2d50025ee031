import { Code, ConnectError } from "@connectrpc/connect";
import {
  codeFromHttpStatus,
  endStreamFlag,
  endStreamFromJson,
  parseContentType,
  protocolVersion,
} from "@connectrpc/connect/protocol-connect";
import { fieldsOf, noFields } from "../headers.ts";
import { withoutOutcome } from "./failures.ts";
import { httpError, wrongType } from "./grpc.ts";
import { type ClientProtocol, type Outcome, userAgent } from "./protocol.ts";

/** Connect's streams (connectrpc.com/docs/protocol, "Streaming RPCs"). */
export const connectStream: ClientProtocol = {
  enveloped: true,
  endFlag: endStreamFlag,
  headers: {
    encoding: "connect-content-encoding",
    acceptEncoding: "connect-accept-encoding",
    timeout: "connect-timeout-ms",
  },
  requestHeaders: (codec) => [
    ...["content-type", `application/connect+${codec}`],
    ...["connect-protocol-version", protocolVersion, "user-agent", userAgent],
  ],
  formatTimeout: formatConnectTimeout,
  readHead(head) {
    const { status, headers, codec } = head;
    if (status !== 200) throw httpError(head, codeFromHttpStatus(status));
    const type = parseContentType(headers.get("content-type") ?? null);
    if (type === undefined) throw wrongType(head, Code.Unknown);
    if (!type.stream || type.binary !== (codec === "proto")) throw wrongType(head, Code.Internal);
    return "messages";
  },
  headerList: (headers) => headers.list(),
  readOutcome: ({ end }) => (end === undefined ? missingEnd() : readEnd(end)),
};

function missingEnd(): Outcome {
  return { error: withoutOutcome("the stream ended without its EndStreamResponse"), trailer: noFields };
}

function readEnd(end: Uint8Array): Outcome {
  try {
    const { metadata, error } = endStreamFromJson(end);
    return { error, trailer: fieldsOf([...metadata].flat()) };
  } catch (thrown) {
    return { error: ConnectError.from(thrown, Code.Unknown), trailer: noFields };
  }
}

/** At most ten digits. */
export function formatConnectTimeout(timeoutMs: number): string {
  return String(Math.min(9_999_999_999, Math.max(1, Math.ceil(timeoutMs))));
}

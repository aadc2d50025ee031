import { Code } from "@connectrpc/connect";
import { codeFromHttpStatus } from "@connectrpc/connect/protocol-grpc";
import { parseContentType } from "@connectrpc/connect/protocol-grpc-web";
import type { HeaderList } from "../exchange.ts";
import { fieldsOf, noFields } from "../headers.ts";
import { withoutOutcome } from "./failures.ts";
import { formatGrpcTimeout, grpcOutcome, httpError, wrongType } from "./grpc.ts";
import { type ClientProtocol, userAgent } from "./protocol.ts";

/** gRPC-Web (grpc/doc/PROTOCOL-WEB.md): gRPC with its trailers in the body. */
export const grpcWeb: ClientProtocol = {
  enveloped: true,
  endFlag: 0b1000_0000,
  headers: { encoding: "grpc-encoding", acceptEncoding: "grpc-accept-encoding", timeout: "grpc-timeout" },
  requestHeaders: (codec) => [
    ...["content-type", `application/grpc-web+${codec}`],
    ...["x-grpc-web", "1", "user-agent", userAgent, "x-user-agent", userAgent],
  ],
  formatTimeout: formatGrpcTimeout,
  readHead(head) {
    const { status, headers, codec } = head;
    if (status < 200 || status > 299) throw httpError(head, codeFromHttpStatus(status));
    const type = parseContentType(headers.get("content-type") ?? null);
    if (type === undefined || type.text) throw wrongType(head, Code.Unknown);
    if (type.binary !== (codec === "proto")) throw wrongType(head, Code.Internal);
    return "messages";
  },
  headerList: (headers) => headers.list(),
  readOutcome({ headers, end, sawBody }) {
    if (end !== undefined) return grpcOutcome(fieldsOf(parseTrailers(end)));
    if (!sawBody) return grpcOutcome(headers);
    return { error: withoutOutcome("the response ended without its trailers"), trailer: noFields };
  },
};

/** The trailers as an HTTP/1.1 header block; names in any case. */
function parseTrailers(block: Uint8Array): HeaderList {
  const list: string[] = [];
  for (const line of Buffer.from(block).toString("latin1").split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) list.push(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  return list;
}

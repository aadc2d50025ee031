import { Code, ConnectError } from "@connectrpc/connect";
import {
  codeFromHttpStatus,
  errorFromJsonBytes,
  parseContentType,
  protocolVersion,
} from "@connectrpc/connect/protocol-connect";
import type { Fields, HeaderList } from "../exchange.ts";
import { toHeaders } from "../headers.ts";
import { formatConnectTimeout } from "./connect-stream.ts";
import { httpError, wrongType } from "./grpc.ts";
import { type ClientProtocol, userAgent, type WholeResponse } from "./protocol.ts";

/** Connect's unary calls (connectrpc.com/docs/protocol, "Unary RPCs"). */
export const connectUnary: ClientProtocol = {
  enveloped: false,
  endFlag: 0,
  headers: { encoding: "content-encoding", acceptEncoding: "accept-encoding", timeout: "connect-timeout-ms" },
  requestHeaders: (codec) => [
    ...["content-type", `application/${codec}`],
    ...["connect-protocol-version", protocolVersion, "user-agent", userAgent],
  ],
  formatTimeout: formatConnectTimeout,
  readHead(head) {
    const { status, headers, codec } = head;
    const type = parseContentType(headers.get("content-type") ?? null);
    if (status !== 200) {
      if (type !== undefined && !type.binary && !type.stream) return "error";
      throw httpError(head, codeFromHttpStatus(status));
    }
    if (type === undefined) throw wrongType(head, Code.Unknown);
    if (type.stream || type.binary !== (codec === "proto")) throw wrongType(head, Code.Internal);
    return "messages";
  },
  headerList: headersOf,
  readOutcome: (response) => ({
    error: response.errorBody === undefined ? undefined : readError(response, response.errorBody),
    trailer: { get: (name) => response.headers.get(prefix + name), list: () => trailersOf(response.headers) },
  }),
};

function readError({ status, headers }: WholeResponse, body: Uint8Array): ConnectError {
  const fallback = new ConnectError(`the server answered with HTTP status ${status}`, codeFromHttpStatus(status));
  try {
    return errorFromJsonBytes(body, toHeaders(trailersOf(headers)), fallback);
  } catch (thrown) {
    return ConnectError.from(thrown);
  }
}

const prefix = "trailer-";

/** Connect's unary trailers travel as headers with a prefix. */
function trailersOf(headers: Fields): HeaderList {
  const list = headers.list();
  const trailers: string[] = [];
  for (let index = 0; index < list.length; index += 2) {
    const [name = "", value = ""] = [list[index], list[index + 1]];
    if (name.startsWith(prefix)) trailers.push(name.slice(prefix.length), value);
  }
  return trailers;
}

/** The headers without the trailers among them. */
function headersOf(headers: Fields): HeaderList {
  const list = headers.list();
  return list.filter((_, index) => !list[index - (index % 2)]?.startsWith(prefix));
}

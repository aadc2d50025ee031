import { mergeNonProtocolHeaders } from "@connectrpc/connect/protocol";
import { codeToHttpStatus, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { appendUserFields } from "../headers.ts";
import { createJsonOptions } from "../json.ts";
import { parseConnectTimeout } from "./connect-stream.ts";
import type { ServerProtocol } from "./protocol.ts";

const jsonOptions = createJsonOptions();

/** Connect's unary calls (connectrpc.com/docs/protocol, "Unary RPCs"): the body is the message, or the error as JSON. */
export const connectUnary: ServerProtocol = {
  name: "connect",
  enveloped: false,
  trailers: false,
  symmetricCompression: false,
  headers: { encoding: "content-encoding", acceptEncoding: "accept-encoding", timeout: "connect-timeout-ms" },
  parseTimeout: parseConnectTimeout,
  head: ({ codec }) => ["content-type", `application/${codec}`],
  end(response, { rest, compressed, error }) {
    const { exchange, header, trailer } = response;
    if (error !== undefined) {
      const metadata = new Headers(header);
      if (!error.isWireError) mergeNonProtocolHeaders(metadata, error.metadata);
      const list = ["content-type", "application/json"];
      appendUserFields(list, metadata);
      appendUserFields(list, trailer, "trailer-");
      exchange.respondWhole(codeToHttpStatus(error.code), list, errorToJsonBytes(error, jsonOptions));
      return;
    }
    const list = [...this.head(response)];
    if (compressed !== undefined) list.push("content-encoding", compressed);
    if (rest !== undefined) list.push("content-length", String(rest.length));
    appendUserFields(list, header);
    appendUserFields(list, trailer, "trailer-");
    exchange.respondWhole(200, list, rest);
  },
};

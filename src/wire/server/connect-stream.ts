import type { ConnectError } from "@connectrpc/connect";
import { endStreamFlag, endStreamToJson, parseTimeout } from "@connectrpc/connect/protocol-connect";
import { joinEnvelopes } from "../envelope.ts";
import { createJsonOptions } from "../json.ts";
import { type Response, type ServerProtocol, withUserFields } from "./protocol.ts";

const jsonOptions = createJsonOptions();

/** Connect's streams (connectrpc.com/docs/protocol, "Streaming RPCs"): the outcome is the last envelope. */
export const connectStream: ServerProtocol = {
  name: "connect",
  enveloped: true,
  trailers: false,
  symmetricCompression: false,
  headers: {
    encoding: "connect-content-encoding",
    acceptEncoding: "connect-accept-encoding",
    timeout: "connect-timeout-ms",
  },
  parseTimeout: parseConnectTimeout,
  head({ codec, encoding }) {
    const list = ["content-type", `application/connect+${codec}`];
    if (encoding !== undefined) list.push("connect-content-encoding", encoding);
    return list;
  },
  end(response, { rest, error }) {
    const { exchange, header } = response;
    const last = joinEnvelopes([{ flags: endStreamFlag, payload: endOf(response, error) }]);
    const body = rest === undefined ? last : Buffer.concat([rest, last]);
    if (exchange.responded) exchange.end(body);
    else exchange.respondWhole(200, withUserFields(this.head(response), header), body);
  },
};

const emptyEnd = Buffer.from("{}");

function endOf({ trailer }: Response, error: ConnectError | undefined): Uint8Array {
  if (error === undefined && trailer === undefined) return emptyEnd;
  return Buffer.from(JSON.stringify(endStreamToJson(new Headers(trailer), error, jsonOptions)));
}

export function parseConnectTimeout(value: string): number {
  const { timeoutMs, error } = parseTimeout(value, Number.POSITIVE_INFINITY);
  if (error !== undefined) throw error;
  return timeoutMs ?? 0;
}

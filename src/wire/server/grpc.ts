import type { ConnectError } from "@connectrpc/connect";
import { parseTimeout, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import type { HeaderList } from "../exchange.ts";
import { appendUserFields } from "../headers.ts";
import { type Response, type ServerProtocol, withUserFields } from "./protocol.ts";

/** gRPC over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md). */
export const grpc: ServerProtocol = {
  name: "grpc",
  enveloped: true,
  trailers: true,
  symmetricCompression: true,
  headers: { encoding: "grpc-encoding", acceptEncoding: "grpc-accept-encoding", timeout: "grpc-timeout" },
  parseTimeout: parseGrpcTimeout,
  head: (response) => grpcHead(response, "application/grpc"),
  end(response, { rest, error }) {
    const { exchange, header } = response;
    const trailers = grpcTrailers(response, error);
    if (!exchange.responded && error !== undefined && rest === undefined && header === undefined) {
      // "Trailers-Only": one frame says it all
      exchange.respondWhole(200, [...this.head(response), ...trailers]);
      return;
    }
    if (!exchange.responded) exchange.respond(200, withUserFields(this.head(response), header), true);
    exchange.end(rest, trailers);
  },
};

const ok: HeaderList = Object.freeze(["grpc-status", "0"]);

/** The outcome, with what the handler set. */
export function grpcTrailers({ trailer }: Response, error: ConnectError | undefined): HeaderList {
  if (error === undefined) {
    if (trailer === undefined) return ok;
    const list = [...ok];
    appendUserFields(list, trailer);
    return list;
  }
  const own: string[] = [];
  appendUserFields(own, trailer);
  const status = setTrailerStatus(new Headers(), error);
  for (const [name, value] of status) own.push(name, value);
  return own;
}

export function grpcHead({ codec, encoding }: Response, type: string): HeaderList {
  const list = ["content-type", `${type}+${codec}`];
  if (encoding !== undefined) list.push("grpc-encoding", encoding);
  return list;
}

export function parseGrpcTimeout(value: string): number {
  const { timeoutMs, error } = parseTimeout(value, Number.POSITIVE_INFINITY);
  if (error !== undefined) throw error;
  return timeoutMs ?? 0;
}

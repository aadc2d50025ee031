import type { Code, ConnectError } from "@connectrpc/connect";
import { codeToHttpStatus, codeToString, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import type { WireRequest, WireResponse } from "./listener.ts";

/** A request and its response. */
export interface WireExchange {
  readonly request: WireRequest;
  readonly response: WireResponse;
}

/**
 * Answers a request that reached no method with an error in the caller's own protocol: gRPC and gRPC-Web as "trailers only"
 * (gRPC over HTTP/2, "Responses"), everybody else as the JSON of the Connect protocol.
 */
export function respondError({ request, response }: WireExchange, error: ConnectError, status?: number): void {
  const contentType = request.headers["content-type"] ?? "";
  if (!contentType.startsWith("application/grpc")) {
    respondJson(response, status ?? codeToHttpStatus(error.code), Buffer.from(errorToJsonBytes(error, undefined)));
    return;
  }
  const trailer = new Headers();
  setTrailerStatus(trailer, error);
  const web = contentType.startsWith("application/grpc-web");
  writeHead(response, 200, { ...Object.fromEntries(trailer), "content-type": web ? contentType : "application/grpc+proto" });
  response.end();
}

/** Answers with a JSON body. */
export function respondJson(response: WireResponse, status: number, body: Buffer): void {
  writeHead(response, status, { "content-type": "application/json", "content-length": String(body.length) });
  response.end(body);
}

/** `writeHead` of both HTTP versions; as a union of two overload sets TypeScript cannot call it. */
export function writeHead(response: WireResponse, status: number, headers: Record<string, string>): void {
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
}

/** The name of a code as the Connect protocol writes it, such as `not_found`. */
export const codeName: (code: Code) => string = codeToString;

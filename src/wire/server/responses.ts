import type { Code, ConnectError } from "@connectrpc/connect";
import { codeToHttpStatus, codeToString, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { timers, wireBounds } from "../../core/index.ts";
import type { ServerExchange } from "../exchange.ts";

/**
 * Answers a request that reached no method with an error in the caller's own protocol: gRPC and gRPC-Web as "trailers only"
 * (gRPC over HTTP/2, "Responses"), everybody else as the JSON of the Connect protocol.
 */
export function respondError(exchange: ServerExchange, error: ConnectError, status?: number): void {
  const contentType = exchange.headers.get("content-type") ?? "";
  if (!contentType.startsWith("application/grpc")) {
    respondJson(exchange, status ?? codeToHttpStatus(error.code), errorToJsonBytes(error, undefined));
    return;
  }
  const web = contentType.startsWith("application/grpc-web");
  const list = ["content-type", web ? contentType : "application/grpc+proto"];
  for (const [name, value] of setTrailerStatus(new Headers(), error)) list.push(name, value);
  exchange.respondWhole(200, list);
}

/** Answers with a JSON body. */
export function respondJson(exchange: ServerExchange, status: number, body: Uint8Array): void {
  exchange.respondWhole(status, ["content-type", "application/json", "content-length", String(body.length)], body);
}

/** Answers with one line of plain text. */
export function respondText(exchange: ServerExchange, status: number, line: string): void {
  const body = Buffer.from(`${line}\n`);
  exchange.respondWhole(status, ["content-type", "text/plain; charset=utf-8", "content-length", String(body.length)], body);
}

/**
 * Refuses once the request is whole, or after a moment: curl over HTTP/2 sometimes hangs on an answer that is whole before its
 * request is.
 */
export function afterRequest(exchange: ServerExchange, refuse: () => void): void {
  let done = false;
  const once = (gone: boolean) => {
    if (done) return;
    done = true;
    waiting.cancel();
    if (!gone) refuse();
  };
  const waiting = timers.schedule(wireBounds.refusalPatienceMs, () => once(false));
  exchange.accept({
    data: () => {},
    drained: () => {},
    end: () => once(false),
    fail: () => once(false),
    closed: () => once(true),
  });
}

/** The name of a code as the Connect protocol writes it, such as `not_found`. */
export const codeName: (code: Code) => string = codeToString;

import { constants } from "node:http2";
import type { DescService, Registry } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type ContextValues,
  createConnectRouter,
  type Interceptor,
} from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import { type Limits, toPeerError } from "../core/index.ts";
import { compressions } from "./compression.ts";
import { createJsonOptions } from "./json.ts";
import type { WireHandler, WireRequest } from "./listener.ts";
import { respondError, type WireExchange, writeHead } from "./responses.ts";
import { typedErrors } from "./typed-errors.ts";

export interface RpcHandlerOptions {
  readonly limits: Limits;
  /** Registers the services. */
  readonly routes: (router: ConnectRouter) => void;
  readonly interceptors?: readonly Interceptor[];
  /** Message types that travel as `Any`, beside the google.rpc error details; JSON needs to know them. */
  readonly types?: Registry;
  /** What interceptors and implementations may read of the request beside its headers. */
  readonly contextValues?: (request: WireRequest) => ContextValues;
  /** Aborted with a ConnectError to end every call. */
  readonly shutdownSignal?: AbortSignal;
}

/** Answers gRPC, gRPC-Web and Connect calls. */
export interface RpcHandler {
  /** The services that were registered. */
  readonly services: readonly DescService[];
  /** Answers a request, with UNIMPLEMENTED when its path is no method of a service. */
  readonly handle: WireHandler;
  /** True when the path is a method of a service. */
  has(path: string): boolean;
}

/** Creates the handler for a set of services; every method answers in all protocols, codecs and compressions. */
export function createRpcHandler(options: RpcHandlerOptions): RpcHandler {
  const { limits } = options;
  const router = createConnectRouter({
    acceptCompression: compressions,
    readMaxBytes: limits.maxMessageBytes,
    jsonOptions: createJsonOptions(options.types),
    interceptors: [typedErrors, ...(options.interceptors ?? []), typedErrors], // around them, and before they see an error
    ...(options.shutdownSignal && { shutdownSignal: options.shutdownSignal }),
  });
  options.routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  const services = [...new Set(router.handlers.map((handler) => handler.service))];
  return {
    services,
    has: (path) => handlers.has(path),
    handle(request, response) {
      drainRequest({ request, response }, limits.unaryBodyTimeoutMs);
      const handler = handlers.get(pathOf(request));
      if (handler === undefined) {
        afterRequest(request, () => respondError({ request, response }, unknownMethod(services, pathOf(request)), 404));
      } else void answer(handler, { request, response, options });
    },
  };
}

/** How long a refusal waits for the rest of its request. */
const refusalPatienceMs = 100;

/**
 * Refuses once the request has been read, or after a moment: curl over HTTP/2 sometimes hangs when the answer is whole before its
 * request is.
 */
function afterRequest(request: WireRequest, refuse: () => void): void {
  const answer = () => {
    clearTimeout(timer);
    request.off("end", answer);
    refuse();
  };
  const timer = setTimeout(() => {
    if (!request.destroyed) answer(); // else its peer has gone
  }, refusalPatienceMs);
  request.once("end", answer);
  request.once("close", () => clearTimeout(timer));
  request.resume();
}

/** The request's path, without its query. */
export function pathOf(request: WireRequest): string {
  return request.url?.split("?", 1)[0] ?? "";
}

interface Exchange extends WireExchange {
  readonly options: RpcHandlerOptions;
}

async function answer(handler: UniversalHandler, { request, response, options }: Exchange): Promise<void> {
  try {
    const values = options.contextValues?.(request);
    const call = universalRequestFromNodeRequest(request, response, undefined, values);
    const result = await handler({ ...call, body: bodyOf(handler, { request, response, options }) });
    if (result.status === 415 || result.status === 405) {
      afterRequest(request, () => refuse(handler, { request, response }, result.status));
    } else await universalResponseToNodeResponse(result, response);
  } catch (thrown) {
    // A caller that went away needs no answer; a request that could not even be read gets one.
    if (response.headersSent) response.destroy();
    else respondError({ request, response }, toPeerError(thrown));
  }
}

/**
 * The request's bytes. The one message of a unary or server-streaming call has to be there in time; a stream may last. Whoever stops
 * reading early leaves the connection whole.
 */
async function* bodyOf(handler: UniversalHandler, { request, options }: Exchange): AsyncGenerator<Uint8Array> {
  const { methodKind } = handler.method;
  const body: AsyncIterator<Uint8Array> = request.iterator({ destroyOnReturn: false });
  const timeoutMs = methodKind === "unary" || methodKind === "server_streaming" ? options.limits.unaryBodyTimeoutMs : undefined;
  const timer = createDeadline(timeoutMs);
  try {
    for (;;) {
      const step = await Promise.race([body.next(), timer.passed]);
      if (step.done === true) return;
      yield step.value;
    }
  } finally {
    timer.clear();
    void body.return?.();
  }
}

function createDeadline(timeoutMs: number | undefined): { passed: Promise<never>; clear(): void } {
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<never>((_, reject) => {
    if (timeoutMs === undefined) return;
    const late = () =>
      reject(new ConnectError(`the request message did not arrive within ${timeoutMs} ms`, Code.DeadlineExceeded));
    timer = setTimeout(late, timeoutMs);
  });
  passed.catch(() => {}); // when nobody reads any more
  return { passed, clear: () => clearTimeout(timer) };
}

/**
 * After an answer that did not need the whole request, the rest is read and dropped: an HTTP/1.1 connection can then be used again,
 * and an HTTP/2 peer that waits for room to send is not left waiting. A peer that does not come to its end is cut off.
 */
function drainRequest({ request, response }: WireExchange, timeoutMs: number): void {
  const [writable, cutOff] =
    "stream" in request
      ? [request.stream, () => request.stream.close(constants.NGHTTP2_NO_ERROR)]
      : [response, () => request.destroy()];
  writable.once("finish", () => {
    if (request.complete) return;
    const timer = setTimeout(cutOff, timeoutMs);
    request.once("close", () => clearTimeout(timer));
    request.resume();
  });
}

/** Says what would be right, in plain text: by the Connect protocol the HTTP status alone is the error. */
function refuse(handler: UniversalHandler, { request, response }: WireExchange, status: number): void {
  const prefix = handler.method.methodKind === "unary" ? "application/" : "application/connect+";
  const types = `${prefix}json, ${prefix}proto, application/grpc, application/grpc-web`;
  const message =
    status === 405
      ? `HTTP method ${request.method} does not call ${handler.method.name}; use ${handler.allowedMethods.join(" or ")}`
      : `content-type ${JSON.stringify(request.headers["content-type"] ?? "")} is not served here; use one of ${types}`;
  if (status === 405) response.setHeader("allow", handler.allowedMethods.join(", "));
  const body = Buffer.from(`${message}\n`);
  writeHead(response, status, { "content-type": "text/plain; charset=utf-8", "content-length": String(body.length) });
  response.end(body);
}

function unknownMethod(services: readonly DescService[], path: string): ConnectError {
  const [, typeName = "", method = ""] = path.split("/");
  const service = services.find((each) => each.typeName === typeName);
  const hint =
    service === undefined
      ? `there is no service "${typeName}"; here are ${services.map((each) => each.typeName).join(", ")}`
      : `service ${typeName} has no method "${method}"; it has ${service.methods.map((each) => each.name).join(", ")}`;
  return new ConnectError(hint, Code.Unimplemented);
}

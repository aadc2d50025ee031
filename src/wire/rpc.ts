import type { DescService } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type ContextValues,
  createConnectRouter,
  type Interceptor,
} from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerRequest } from "@connectrpc/connect/protocol";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import { type Limits, toPeerError } from "../core/index.ts";
import { compressions } from "./compression.ts";
import { jsonOptions } from "./json.ts";
import type { WireHandler, WireRequest, WireResponse } from "./listener.ts";
import { respondError, type WireExchange } from "./responses.ts";

export interface RpcHandlerOptions {
  readonly limits: Limits;
  /** Registers the services. */
  readonly routes: (router: ConnectRouter) => void;
  readonly interceptors?: readonly Interceptor[];
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
    writeMaxBytes: limits.maxMessageBytes,
    jsonOptions,
    interceptors: [...(options.interceptors ?? [])],
    ...(options.shutdownSignal && { shutdownSignal: options.shutdownSignal }),
  });
  options.routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  const services = [...new Set(router.handlers.map((handler) => handler.service))];
  return {
    services,
    has: (path) => handlers.has(path),
    handle(request, response) {
      const handler = handlers.get(pathOf(request));
      if (handler === undefined) respondError({ request, response }, unknownMethod(services, pathOf(request)), 404);
      else void answer(handler, { request, response, options });
    },
  };
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
    const result = await handler(boundBody(call, handler, { response, timeoutMs: options.limits.unaryBodyTimeoutMs }));
    if (result.status === 415 || result.status === 405) refuse(handler, { request, response, options }, result.status);
    else await universalResponseToNodeResponse(result, response);
  } catch (thrown) {
    // A caller that went away needs no answer; a request that could not even be read gets one.
    if (response.headersSent) response.destroy();
    else respondError({ request, response }, toPeerError(thrown));
  }
}

/** Refuses a slow body: the one message of a unary or server-streaming call has to be there in time. */
function boundBody(
  call: UniversalServerRequest,
  handler: UniversalHandler,
  { response, timeoutMs }: { response: WireResponse; timeoutMs: number },
): UniversalServerRequest {
  const streamsIn = handler.method.methodKind === "client_streaming" || handler.method.methodKind === "bidi_streaming";
  if (streamsIn || !isAsyncIterable(call.body)) return call;
  return { ...call, body: withTimeout(call.body, timeoutMs, () => stopReading(response)) };
}

async function* withTimeout(body: AsyncIterable<Uint8Array>, timeoutMs: number, onTimeout: () => void) {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      onTimeout();
      reject(new ConnectError(`the request message did not arrive within ${timeoutMs} ms`, Code.DeadlineExceeded));
    }, timeoutMs);
  });
  late.catch(() => {}); // when nobody reads any more
  const iterator = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const step = await Promise.race([iterator.next(), late]);
      if (step.done === true) return;
      yield step.value;
    }
  } finally {
    clearTimeout(timer);
  }
}

/** HTTP/1.1 would wait for the rest of the body to reuse the connection. */
function stopReading(response: WireResponse): void {
  if (!("stream" in response)) response.shouldKeepAlive = false;
}

function refuse(handler: UniversalHandler, { request, response }: Exchange, status: number): void {
  const prefix = handler.method.methodKind === "unary" ? "application/" : "application/connect+";
  const types = `${prefix}json, ${prefix}proto, application/grpc, application/grpc-web`;
  const message =
    status === 405
      ? `HTTP method ${request.method} does not call ${handler.method.name}; use ${handler.allowedMethods.join(" or ")}`
      : `content-type ${JSON.stringify(request.headers["content-type"] ?? "")} is not served here; use one of ${types}`;
  if (status === 405) response.setHeader("allow", handler.allowedMethods.join(", "));
  respondError({ request, response }, new ConnectError(message, Code.InvalidArgument), status);
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

function isAsyncIterable(body: UniversalServerRequest["body"]): body is AsyncIterable<Uint8Array> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}

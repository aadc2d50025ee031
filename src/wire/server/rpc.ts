import type { DescService, Registry } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { Code, ConnectError, type ConnectRouter, type ContextValues, type Interceptor } from "@connectrpc/connect";
import { type Limits, resolveLimits } from "../../core/index.ts";
import type { ExchangeHandler, ServerExchange } from "../exchange.ts";
import { ServerCall } from "./call.ts";
import { connectUnary } from "./connect-unary.ts";
import { type ContentType, readContentType } from "./content-type.ts";
import type { CallHooks, RequestGate, ServedCall, ServerMethod } from "./method.ts";
import { RequestWatch } from "./request-watch.ts";
import { afterRequest, respondError, respondText } from "./responses.ts";
import { collectMethods } from "./router.ts";
import { TextExchange } from "./text-exchange.ts";

export interface RpcHandlerOptions {
  /** Registers the services, as with Connect's own router. */
  readonly routes: (router: ConnectRouter) => void;
  /** Bounds that differ from the defaults. */
  readonly limits?: Partial<Limits>;
  /** Around every handler, the first one outermost. Default: none, which is also the fastest. */
  readonly interceptors?: readonly Interceptor[];
  /** Runs before a request's body is read; what it throws is the answer. Default: none. */
  readonly requestGate?: RequestGate;
  /** Message types that travel as `Any`, beside the google.rpc error details; JSON needs to know them. */
  readonly types?: Registry;
  /** What interceptors and implementations may read of the request beside its headers. */
  readonly contextValues?: (exchange: ServerExchange) => ContextValues;
  /** Aborted with a ConnectError to end every call. */
  readonly shutdownSignal?: AbortSignal;
  /** Told of every call when it is over, also of one that did not reach its handler. */
  readonly onCallEnd?: (call: FinishedCall) => void;
}

/** A call that is over. */
export interface FinishedCall {
  readonly exchange: ServerExchange;
  /** `package.Service/Method`. */
  readonly procedure: string;
  /** What the caller got; CANCELLED when it left; undefined when the call ended well. */
  readonly error: ConnectError | undefined;
  /** Until it was over; asked for in the call back. */
  readonly durationMs: number;
}

/** Answers gRPC, gRPC-Web and Connect calls. */
export interface RpcHandler {
  /** The services that were registered. */
  readonly services: readonly DescService[];
  /** Answers a request, with UNIMPLEMENTED when its path is no method of a service. */
  readonly handle: ExchangeHandler;
  /** True when the path, which may have a query, is a method of a service. */
  has(path: string): boolean;
}

/**
 * Creates the handler for a set of services; every method answers in all protocols, codecs and compressions.
 *
 * @throws TypeError for an option of `router.service` that is not served; RangeError for a wrong limit.
 */
export function createRpcHandler(options: RpcHandlerOptions): RpcHandler {
  const limits = resolveLimits(options.limits);
  const collected = collectMethods({ ...options, limits, hooks: createHooks(options, limits) }, options.routes);
  const methods = new Map(collected.map((method) => [method.path, method]));
  const services = [...new Set(collected.map(({ desc }) => desc.parent))];
  return {
    services,
    has: (path) => methods.has(withoutQuery(path)),
    handle(exchange) {
      const method = methods.get(withoutQuery(exchange.path));
      if (method !== undefined) start(exchange, method);
      else afterRequest(exchange, () => respondError(exchange, unknownMethod(services, exchange.path), 404));
    },
  };
}

/** A path without its query. */
export function withoutQuery(path: string): string {
  const query = path.indexOf("?");
  return query < 0 ? path : path.slice(0, query);
}

function createHooks({ contextValues, onCallEnd, shutdownSignal }: RpcHandlerOptions, limits: Limits): CallHooks {
  const open = new Set<ServedCall>();
  const reason = () => ConnectError.from(shutdownSignal?.reason, Code.Unavailable);
  shutdownSignal?.addEventListener("abort", () => {
    for (const call of open) call.abort(reason());
  });
  return {
    watch: new RequestWatch(limits.unaryBodyTimeoutMs),
    values: contextValues,
    onStart(call) {
      open.add(call);
      if (shutdownSignal?.aborted) call.abort(reason());
    },
    onEnd(call, error) {
      open.delete(call);
      onCallEnd?.(new EndedCall(call, error));
    },
  };
}

/** Most calls end without anybody asking. */
class EndedCall implements FinishedCall {
  readonly error: ConnectError | undefined;
  readonly #call: ServedCall;

  constructor(call: ServedCall, error: ConnectError | undefined) {
    this.#call = call;
    this.error = error;
  }

  get exchange(): ServerExchange {
    return this.#call.exchange;
  }

  get procedure(): string {
    return this.#call.method.path.slice(1);
  }

  get durationMs(): number {
    return performance.now() - this.#call.startMs;
  }
}

function start(exchange: ServerExchange, method: ServerMethod): void {
  const { desc } = method;
  if (desc.methodKind === "bidi_streaming" && exchange.httpVersion === "1.1") refuseHttp1(exchange);
  else if (exchange.method === "POST") {
    const type = readContentType(exchange.headers.get("content-type") ?? "", desc);
    if (type === undefined) refuseType(exchange, method);
    else createCall(exchange, method, type).start();
  } else if (exchange.method === "GET" && method.safe) {
    const query = new URLSearchParams(exchange.path.slice(withoutQuery(exchange.path).length));
    const codec = query.get("encoding");
    if (codec !== "proto" && codec !== "json") refuseType(exchange, method);
    else startGet(createCall(exchange, method, { protocol: connectUnary, codec, text: false }), query);
  } else refuseMethod(exchange, method);
}

function createCall(exchange: ServerExchange, method: ServerMethod, type: ContentType): ServerCall {
  const call = new ServerCall(type.text ? new TextExchange(exchange) : exchange, method, type);
  method.hooks.onStart(call);
  return call;
}

/** Connect's GET: the message is in the query (connectrpc.com/docs/protocol, "Unary-Get-Request"). */
function startGet(call: ServerCall, query: URLSearchParams): void {
  const text = query.get("message");
  const encoding = query.get("compression") ?? undefined;
  try {
    if (text === null) throw new ConnectError('the query parameter "message" is missing', Code.InvalidArgument);
    call.startWith(query.get("base64") === "1" ? decodeBase64(text) : Buffer.from(text), encoding);
  } catch (thrown) {
    call.fail(thrown);
  }
}

function decodeBase64(text: string): Uint8Array {
  try {
    return base64Decode(text);
  } catch (cause) {
    const message = 'the query parameter "message" is not base64';
    throw new ConnectError(message, Code.InvalidArgument, undefined, undefined, cause);
  }
}

/** A stream in both directions at once needs HTTP/2; a client that waits for one is let go of by closing the connection. */
function refuseHttp1(exchange: ServerExchange): void {
  exchange.addHeader("connection", "close");
  respondText(exchange, 505, "a bidirectional stream needs HTTP/2");
}

/** Says what would be right, in plain text: by the Connect protocol the HTTP status alone is the error. */
function refuseType(exchange: ServerExchange, { desc }: ServerMethod): void {
  const prefix = desc.methodKind === "unary" ? "application/" : "application/connect+";
  const types = `${prefix}json, ${prefix}proto, application/grpc, application/grpc-web`;
  const type = JSON.stringify(exchange.headers.get("content-type") ?? "");
  afterRequest(exchange, () => respondText(exchange, 415, `content-type ${type} is not served here; use one of ${types}`));
}

function refuseMethod(exchange: ServerExchange, { desc, safe }: ServerMethod): void {
  const allowed = safe ? ["GET", "POST"] : ["POST"];
  exchange.addHeader("allow", allowed.join(", "));
  const message = `HTTP method ${exchange.method} does not call ${desc.name}; use ${allowed.join(" or ")}`;
  afterRequest(exchange, () => respondText(exchange, 405, message));
}

function unknownMethod(services: readonly DescService[], path: string): ConnectError {
  const [, typeName = "", method = ""] = withoutQuery(path).split("/");
  const service = services.find((each) => each.typeName === typeName);
  const hint =
    service === undefined
      ? `there is no service "${typeName}"; here are ${services.map((each) => each.typeName).join(", ")}`
      : `service ${typeName} has no method "${method}"; it has ${service.methods.map((each) => each.name).join(", ")}`;
  return new ConnectError(hint, Code.Unimplemented);
}

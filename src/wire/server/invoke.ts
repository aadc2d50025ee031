import { create, type DescMessage, type DescMethodStreaming, type DescMethodUnary, type Message } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type HandlerContext,
  type Interceptor,
  type StreamRequest,
  type StreamResponse,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { toPeerError } from "../../core/index.ts";
import type { ServerMethod } from "./method.ts";
import { type CallScope, overridden } from "./scope.ts";

/** What comes in: the one message, or all of them as they come. */
export type Input = { readonly message: Message } | { readonly messages: AsyncIterable<Message> };

/** A message as handlers may return it: some of its fields. */
export type MessageInit = Record<string, unknown>;

/** What goes out: one message, or any number. */
export type Output =
  | { readonly one: MessageInit | Promise<MessageInit> }
  | { readonly many: AsyncIterable<MessageInit> | Promise<AsyncIterable<MessageInit>> };

type Implementation = (input: unknown, context: HandlerContext) => unknown;
type Next = ReturnType<Interceptor>;
type Request = UnaryRequest | StreamRequest;
type Response = UnaryResponse | StreamResponse;

/** Runs the handler of a call, inside its interceptors where there are some. Throws what the handler throws. */
export function invoke(method: ServerMethod, scope: CallScope, input: Input): Output {
  const { spec, interceptors } = method;
  if (interceptors.length > 0) return intercept(method, scope, input);
  const implementation = spec.impl as Implementation; // of this kind, as the input is
  const result = implementation("message" in input ? input.message : input.messages, scope);
  if (spec.kind === "unary" || spec.kind === "client_streaming") return { one: result as MessageInit }; // what these kinds return
  return { many: result as AsyncIterable<MessageInit> }; // and what those do
}

function intercept(method: ServerMethod, scope: CallScope, input: Input): Output {
  const innermost: Next = async (request) => {
    try {
      return await answer(method, scope, request);
    } catch (thrown) {
      throw typedError(scope, thrown);
    }
  };
  const chain = method.interceptors.reduceRight<Next>((next, interceptor) => interceptor(next), innermost);
  if (method.spec.kind === "unary" && "message" in input) {
    const one = chain(unaryRequest(scope, input.message)).then((response) => taken(scope, response).message);
    return { one: one as Promise<Message & MessageInit> }; // a unary response holds one message
  }
  const messages = "message" in input ? only(input.message) : input.messages;
  const many = chain(streamRequest(scope, messages)).then((response) => taken(scope, response).message);
  return { many: many as Promise<AsyncIterable<Message & MessageInit>> }; // a stream's response holds a stream
}

/** The call itself, as the last interceptor sees it. */
async function answer({ spec, desc }: ServerMethod, scope: CallScope, request: Request): Promise<Response> {
  const implementation = spec.impl as Implementation; // of this kind, as the request is
  const context = contextFor(scope, request);
  const result = async (given: unknown) => create(desc.output, (await implementation(given, context)) as MessageInit); // what handlers return
  if (!request.stream) return unaryResponse(scope, await result(request.message));
  if (spec.kind === "client_streaming") return streamResponse(scope, only(await result(request.message)));
  const given = spec.kind === "server_streaming" ? await single(request.message) : request.message;
  const messages = implementation(given, context) as AsyncIterable<MessageInit>; // what handlers of these kinds return
  return streamResponse(scope, typedMessages(scope, messages));
}

/** After an abort the abort is the reason, whatever broke first; else what is not typed is INTERNAL. */
export function typedError(scope: CallScope, thrown: unknown): ConnectError {
  return thrown instanceof ConnectError ? thrown : (scope.aborted ?? toPeerError(thrown));
}

async function* typedMessages(scope: CallScope, messages: AsyncIterable<MessageInit>) {
  const { output } = scope.method;
  try {
    for await (const message of messages) yield create(output, message);
  } catch (thrown) {
    throw typedError(scope, thrown);
  }
}

async function* only<T>(message: T): AsyncGenerator<T> {
  yield message;
}

/** An interceptor may have changed the stream. */
async function single(messages: AsyncIterable<Message>): Promise<Message> {
  const found: Message[] = [];
  for await (const message of messages) found.push(message);
  const [message] = found;
  if (message === undefined || found.length > 1) throw new ConnectError("the call needs one message", Code.Unimplemented);
  return message;
}

function common(scope: CallScope) {
  return {
    service: scope.service,
    requestMethod: scope.requestMethod,
    contextValues: scope.values,
    get url() {
      return scope.url;
    },
    get signal() {
      return scope.signal;
    },
    get header() {
      return scope.requestHeader;
    },
  };
}

function unaryRequest(scope: CallScope, message: Message): UnaryRequest {
  const method = scope.method as DescMethodUnary<DescMessage, DescMessage>; // the caller has looked
  return Object.assign(common(scope), { stream: false as const, message, method });
}

function streamRequest(scope: CallScope, message: AsyncIterable<Message>): StreamRequest {
  const method = scope.method as DescMethodStreaming<DescMessage, DescMessage>; // the caller has looked
  return Object.assign(common(scope), { stream: true as const, message, method });
}

function responseCommon(scope: CallScope) {
  return {
    service: scope.service,
    get header() {
      return scope.responseHeader;
    },
    get trailer() {
      return scope.responseTrailer;
    },
  };
}

function unaryResponse(scope: CallScope, message: Message): UnaryResponse {
  const method = scope.method as DescMethodUnary<DescMessage, DescMessage>; // the request was unary
  return Object.assign(responseCommon(scope), { stream: false as const, message, method });
}

function streamResponse(scope: CallScope, message: AsyncIterable<Message>): StreamResponse {
  const method = scope.method as DescMethodStreaming<DescMessage, DescMessage>; // the request was a stream
  return Object.assign(responseCommon(scope), { stream: true as const, message, method });
}

/** Keeps what interceptors put in the place of the response's headers and trailers. */
function taken<R extends Response>(scope: CallScope, response: R): R {
  scope.touchedHeader = response.header;
  scope.touchedTrailer = response.trailer;
  return response;
}

/** The call's own context, unless an interceptor changed what it shows. */
function contextFor(scope: CallScope, request: Request): HandlerContext {
  const { service, header, signal, contextValues } = request;
  const own = service === scope.service && header === scope.requestHeader;
  if (own && signal === scope.signal && contextValues === scope.values) return scope;
  return overridden(scope, { service, requestHeader: header, signal, values: contextValues });
}

import { create, type DescMessage, type DescMethod, type Message, type MessageShape } from "@bufbuild/protobuf";
import {
  ConnectError,
  createContextValues,
  type StreamRequest,
  type StreamResponse,
  type Transport,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import type { HeaderList } from "../exchange.ts";
import { toHeaders } from "../headers.ts";
import { linkSignal } from "./link-signal.ts";
import { type ClientMethod, createClientMethod, type WireOptions } from "./method.ts";
import type { TransportOptions } from "./options.ts";
import { requestFields } from "./request.ts";
import type { Route, Router } from "./route.ts";
import { callStream } from "./stream.ts";
import { type CallInput, callUnary } from "./unary.ts";

/** What a caller says of one call. */
interface CallOptions {
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number | undefined;
  readonly header: HeadersInit | undefined;
  readonly contextValues: UnaryRequest["contextValues"] | undefined;
}

type CallsOptions = Pick<TransportOptions, "interceptors" | "defaultTimeoutMs"> & { readonly origin: string };
type Request = UnaryRequest | StreamRequest;
type Response = UnaryResponse | StreamResponse;
type UnaryMethod = Parameters<Transport["unary"]>[0];
type StreamMethod = Parameters<Transport["stream"]>[0];

/** Makes the calls of a transport. */
export class Calls {
  readonly #router: Router;
  readonly #wire: WireOptions;
  readonly #options: CallsOptions;
  readonly #methods = new Map<DescMethod, ClientMethod>();

  constructor(router: Router, wire: WireOptions, options: CallsOptions) {
    this.#router = router;
    this.#wire = wire;
    this.#options = options;
  }

  unary(desc: UnaryMethod, input: object, options: CallOptions): Promise<Response> {
    const method = this.#method(desc);
    const message = create(desc.input, input as Record<string, unknown>); // some of its fields
    const timeoutMs = this.#timeout(options);
    if (!this.#intercepts) {
      const fields = requestFields(method, options.header, timeoutMs);
      return this.#sendUnary(method, message, {
        fields,
        signal: options.signal,
        timeoutMs,
        contextValues: options.contextValues,
      });
    }
    return this.#intercept(method, { ...options, timeoutMs }, { stream: false, method: desc, message });
  }

  stream(desc: StreamMethod, input: AsyncIterable<object>, options: CallOptions): Promise<Response> {
    const method = this.#method(desc);
    const messages = input as Messages; // some of their fields
    const timeoutMs = this.#timeout(options);
    if (!this.#intercepts) {
      const fields = requestFields(method, options.header, timeoutMs);
      return this.#sendStream(method, messages, {
        fields,
        signal: options.signal,
        timeoutMs,
        contextValues: options.contextValues,
      });
    }
    return this.#intercept(
      method,
      { ...options, timeoutMs },
      { stream: true, method: desc, message: complete(desc, messages) },
    );
  }

  #sendUnary(method: ClientMethod, message: Message, call: SentCall): Promise<Response> {
    const { signal, contextValues } = call;
    const inputOf = createInputs(call);
    return this.#router.send({ method: method.desc, message, contextValues, signal }, (route, own) =>
      callUnary(method, message, inputOf(route, own)),
    );
  }

  #sendStream(method: ClientMethod, messages: Messages, call: SentCall): Promise<Response> {
    const { signal, contextValues } = call;
    const inputOf = createInputs(call);
    if (!this.#router.readsRequests || method.desc.methodKind !== "server_streaming") {
      return this.#router.send({ method: method.desc, message: undefined, contextValues, signal }, (route, own) =>
        callStream(method, messages, inputOf(route, own)),
      );
    }
    return first(messages).then((only) => {
      const message = create(method.desc.input, only);
      return this.#router.send({ method: method.desc, message, contextValues, signal }, (route, own) =>
        callStream(method, once(only), inputOf(route, own)),
      );
    });
  }

  get #intercepts(): boolean {
    return (this.#options.interceptors?.length ?? 0) > 0;
  }

  #method(desc: DescMethod): ClientMethod {
    let method = this.#methods.get(desc);
    if (method === undefined) {
      method = createClientMethod(desc, this.#wire);
      this.#methods.set(desc, method);
    }
    return method;
  }

  /** 0 or less takes the default away, as with Connect's own transports. */
  #timeout({ timeoutMs }: CallOptions): number | undefined {
    const chosen = timeoutMs ?? this.#options.defaultTimeoutMs;
    return chosen !== undefined && chosen > 0 ? chosen : undefined;
  }

  async #intercept(method: ClientMethod, options: CallOptions, call: InterceptedCall): Promise<Response> {
    const { signal, timeoutMs, header, contextValues = createContextValues() } = options;
    const link = linkSignal(signal, timeoutMs);
    const request = {
      ...call,
      service: method.desc.parent,
      requestMethod: method.get ? "GET" : "POST",
      url: this.#options.origin + method.path,
      header: toHeaders(requestFields(method, header, timeoutMs)),
      signal: link.signal,
      contextValues,
    } as Request; // a call's kind and its message go together
    const send = async (sent: Request): Promise<Response> => {
      const fields = [...sent.header].flat();
      const call = { fields, signal: sent.signal, timeoutMs: link.leftMs(), contextValues: sent.contextValues };
      return spread(
        await (sent.stream ? this.#sendStream(method, sent.message, call) : this.#sendUnary(method, sent.message, call)),
      );
    };
    const chain = (this.#options.interceptors ?? []).reduceRight<typeof send>((next, each) => each(next), send);
    try {
      const response = await chain(request);
      if (response.stream) return { ...response, message: link.until(response.message) };
      link.release();
      return response;
    } catch (thrown) {
      link.release();
      throw ConnectError.from(thrown);
    }
  }
}

type InterceptedCall =
  | Pick<UnaryRequest, "stream" | "method" | "message">
  | Pick<StreamRequest, "stream" | "method" | "message">;

type Messages = AsyncIterable<Record<string, unknown>>; // some of their fields

/** A call whose request is decided. */
interface SentCall {
  readonly fields: HeaderList;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number | undefined;
  readonly contextValues: CallOptions["contextValues"];
}

/** What each attempt of a call is made of: later ones have less time left. */
function createInputs({ fields, signal, timeoutMs }: SentCall): (route: Route, signal?: AbortSignal) => CallInput {
  if (timeoutMs === undefined) return (connection, own = signal) => ({ connection, fields, signal: own, timeoutMs });
  const deadlineMs = performance.now() + timeoutMs;
  let first = true;
  return (connection, own = signal) => {
    const leftMs = first ? timeoutMs : Math.max(0, deadlineMs - performance.now());
    first = false;
    return { connection, fields, signal: own, timeoutMs: leftMs };
  };
}

async function first(messages: Messages): Promise<Record<string, unknown>> {
  for await (const message of messages) return message;
  return {};
}

async function* once(message: Record<string, unknown>) {
  yield message;
}

async function* complete(desc: DescMethod, messages: Messages) {
  for await (const message of messages) yield create(desc.input, message) as MessageShape<DescMessage>; // of the method's input
}

/** Interceptors may copy a response, so what they get has its properties as its own. */
function spread<R extends Response>(response: R): R {
  const { stream, service, method, header, trailer, message } = response;
  return { stream, service, method, header, trailer, message } as R; // all that a response has
}

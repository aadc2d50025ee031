import { create, type DescMessage, type DescMethod, type MessageShape } from "@bufbuild/protobuf";
import {
  ConnectError,
  createContextValues,
  type StreamRequest,
  type StreamResponse,
  type Transport,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { defaultLimits } from "../../core/index.ts";
import type { ClientConnection } from "../exchange.ts";
import { toHeaders } from "../headers.ts";
import { createHttp1Connection } from "../node/http1-client.ts";
import { createHttp2Connection } from "../node/http2-client.ts";
import { linkSignal } from "./link-signal.ts";
import { type ClientMethod, createClientMethod, type WireOptions } from "./method.ts";
import { checkOptions, parseBaseUrl, resolveWire, type TransportOptions } from "./options.ts";
import { requestFields } from "./request.ts";
import { callStream } from "./stream.ts";
import { callUnary } from "./unary.ts";

/** A Connect transport that can be let go of. */
export interface ClosableTransport extends Transport {
  /** Closes the connection; calls in flight end with CANCELLED, and so do new ones. */
  close(): void;
}

/**
 * Creates a client transport: over HTTP/2 one connection, opened with the first call and again when it was lost or told to go away.
 * Calls that the server did not begin are sent again (gRFC A6, "Transparent Retries"). It keeps the process alive only while calls
 * are open.
 *
 * Failures are ConnectErrors: UNAVAILABLE when the connection cannot be had or breaks, CANCELLED for the caller's own cancel,
 * DEADLINE_EXCEEDED by the local clock.
 *
 * @throws TypeError for a `baseUrl` that is no http or https URL, RangeError for any other option that cannot be.
 */
export function createTransport(options: TransportOptions): ClosableTransport {
  checkOptions(options);
  const { httpVersion = "2" } = options;
  const url = parseBaseUrl(options.baseUrl);
  const connection = (httpVersion === "2" ? createHttp2Connection : createHttp1Connection)({
    origin: url.origin,
    scheme: url.protocol === "https:" ? "https" : "http",
    authority: url.host,
    tls: options.tls ?? {},
    connectTimeoutMs: options.connectTimeoutMs ?? 20_000,
    keepaliveMs: options.keepaliveMs,
    keepaliveTimeoutMs: options.keepaliveTimeoutMs ?? 20_000,
    streamWindowBytes: defaultLimits.streamWindowBytes,
    connectionWindowBytes: defaultLimits.connectionWindowBytes,
    maxHeaderBytes: defaultLimits.maxHeaderBytes,
  });
  const wire = resolveWire(options, url);
  const calls = new Calls(connection, wire, { ...options, origin: url.origin });
  return {
    // the six parameters are Connect's
    unary: async (...[method, signal, timeoutMs, header, input, contextValues]) =>
      calls.unary(method, input, { signal, timeoutMs, header, contextValues }) as Promise<never>, // messages of this method
    stream: async (...[method, signal, timeoutMs, header, input, contextValues]) =>
      calls.stream(method, input, { signal, timeoutMs, header, contextValues }) as Promise<never>, // messages of this method
    close: () => connection.close(),
  };
}

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

class Calls {
  readonly #connection: ClientConnection;
  readonly #wire: WireOptions;
  readonly #options: CallsOptions;
  readonly #methods = new Map<DescMethod, ClientMethod>();

  constructor(connection: ClientConnection, wire: WireOptions, options: CallsOptions) {
    this.#connection = connection;
    this.#wire = wire;
    this.#options = options;
  }

  unary(desc: UnaryMethod, input: object, options: CallOptions): Promise<Response> {
    const method = this.#method(desc);
    const message = create(desc.input, input as Record<string, unknown>); // some of its fields
    const timeoutMs = this.#timeout(options);
    if (!this.#intercepts) {
      const fields = requestFields(method, options.header, timeoutMs);
      return callUnary(method, message, { connection: this.#connection, fields, signal: options.signal, timeoutMs });
    }
    return this.#intercept(method, { ...options, timeoutMs }, { stream: false, method: desc, message });
  }

  stream(desc: StreamMethod, input: AsyncIterable<object>, options: CallOptions): Promise<Response> {
    const method = this.#method(desc);
    const messages = input as AsyncIterable<Record<string, unknown>>; // some of their fields
    const timeoutMs = this.#timeout(options);
    if (!this.#intercepts) {
      const fields = requestFields(method, options.header, timeoutMs);
      return callStream(method, messages, { connection: this.#connection, fields, signal: options.signal, timeoutMs });
    }
    return this.#intercept(
      method,
      { ...options, timeoutMs },
      { stream: true, method: desc, message: complete(desc, messages) },
    );
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
      const input = {
        connection: this.#connection,
        fields: [...sent.header].flat(),
        signal: sent.signal,
        timeoutMs: link.leftMs(),
      };
      return sent.stream
        ? spread(await callStream(method, sent.message, input))
        : spread(await callUnary(method, sent.message, input));
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

async function* complete(desc: DescMethod, messages: AsyncIterable<Record<string, unknown>>) {
  for await (const message of messages) yield create(desc.input, message) as MessageShape<DescMessage>; // of the method's input
}

/** Interceptors may copy a response, so what they get has its properties as its own. */
function spread<R extends Response>(response: R): R {
  const { stream, service, method, header, trailer, message } = response;
  return { stream, service, method, header, trailer, message } as R; // all that a response has
}

/**
 * The waist between HTTP and the protocols: one request and its response, as both sides see it. Protocol code knows nothing below
 * it; `http2/` implements it on any pipe of bytes, `node/` over node:http.
 */

/** Header or trailer fields, name and value by turns, names in lower case. A name may come more than once. */
export type HeaderList = readonly string[];

/** Received fields. */
export interface Fields {
  /** The field's value; several of one name joined as RFC 9110, section 5.3, says. */
  get(name: string): string | undefined;
  /** All of them, HTTP/2's pseudo-header fields left out. */
  list(): HeaderList;
}

/** Body bytes as they come. The bytes are the receiver's. */
export interface BodySink {
  data(bytes: Uint8Array): void;
  /** After {@link Writable.write} gave false: there is room again. */
  drained(): void;
}

/** Body bytes as they go. */
export interface Writable {
  /** Takes the bytes, which must not change any more. False: wait for {@link BodySink.drained} before writing more. */
  write(bytes: Uint8Array): boolean;
}

interface Exchange extends Writable {
  /** Stops delivering body bytes; the peer stops sending when its window is used up. */
  pause(): void;
  resume(): void;
  /** Ends both directions at once (RST_STREAM; over HTTP/1.1 the connection closes). Does nothing when they have ended. */
  reset(code: ResetCode): void;
}

/** Why a stream is reset, by HTTP/2's error codes (RFC 9113, section 7). */
export type ResetCode = keyof typeof resetCodes;

export const resetCodes = { none: 0, internal: 2, refused: 7, cancel: 8 } as const;

/**
 * How a server's exchange ended: `done`, the response is sent whole; `reset`, the peer cancelled it on a connection that lives on;
 * `lost`, the connection broke. Over HTTP/1.1 a cancel is a broken connection.
 */
export type ServerClosed = "done" | "reset" | "lost";

/** Receives a request's body. After `closed` nothing is called any more. */
export interface RequestSink extends BodySink {
  /** The request is whole. */
  end(): void;
  /** The request's bytes cannot be read on. */
  fail(reason: unknown): void;
  closed(how: ServerClosed): void;
}

/** One exchange on the server. Its response is one `respondWhole`, or `respond`, any number of `write`, and `end`. */
export interface ServerExchange extends Exchange {
  readonly httpVersion: "1.1" | "2";
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Host and port that the client named; empty when it named none. */
  readonly authority: string;
  readonly scheme: "http" | "https";
  readonly peerAddress: string;
  /**
   * The peer's certificate in DER, when it showed one and the server's authorities verified it. The same array for every exchange
   * of a connection, so that what is read from it can be kept by it.
   */
  readonly peerCertificate: Uint8Array | undefined;
  readonly headers: Fields;
  /** Lines and bytes of all header fields, for bounds. */
  headerSize(): { pairs: number; bytes: number };
  /** Adds a field to whatever response will be sent. */
  addHeader(name: string, value: string): void;
  /** Starts to deliver the body; once. A body that nobody accepts is dropped. */
  accept(sink: RequestSink): void;
  /** Sends the whole response. Nothing is sent when the peer has gone, here as in the other three. */
  respondWhole(status: number, headers: HeaderList, body?: Uint8Array): void;
  /** Sends the head. `trailers` says whether {@link ServerExchange.end} will bring some. */
  respond(status: number, headers: HeaderList, trailers: boolean): void;
  /** Sends the last bytes, if any, and the trailers. */
  end(bytes?: Uint8Array, trailers?: HeaderList): void;
  /** True once the head of the response has been sent. */
  readonly responded: boolean;
}

/** Answers one exchange. */
export type ExchangeHandler = (exchange: ServerExchange) => void;

/** How a client's exchange ended. */
export type ClientClosed =
  /** The response is whole. */
  | { readonly how: "done" }
  /** The peer reset the stream, with HTTP/2's error code. */
  | { readonly how: "reset"; readonly code: number }
  /** The peer says that it has not begun to process it (REFUSED_STREAM, or a GOAWAY below its stream): it may be sent again. */
  | { readonly how: "refused" }
  /** It never left this process, because the connection was closing: it may be sent again. */
  | { readonly how: "unsent" }
  /** There is no connection to be had. */
  | { readonly how: "unreachable"; readonly cause: unknown }
  /** The connection broke. */
  | { readonly how: "lost"; readonly cause: unknown }
  /** {@link ClientConnection.close} was called. */
  | { readonly how: "closed" };

/** Receives a response. After `closed`, which always comes, nothing is called any more. */
export interface ResponseSink extends BodySink {
  head(status: number, headers: Fields): void;
  /** The response is whole. */
  end(trailers: Fields): void;
  closed(how: ClientClosed): void;
}

export interface ClientRequest {
  readonly method: "GET" | "POST";
  /** Path and query. */
  readonly path: string;
  readonly headers: HeaderList;
}

/** One exchange on the client. */
export interface ClientExchange extends Exchange {
  /** Sends the last bytes, if any, and ends the request. */
  end(bytes?: Uint8Array): void;
}

/** What is told of one connection. */
export interface SessionEvents {
  /** The peer is there and speaks HTTP/2. */
  ready(): void;
  /** No exchange can be opened any more; those that are open go on if the peer has only said that it goes away. Called once. */
  gone(cause: unknown): void;
}

/** One connection, for those who keep several: it is not opened again. */
export interface ClientSession extends ClientConnection {
  /** True when the peer takes one more exchange at once. */
  readonly free: boolean;
  /** Keeps the process alive, or does so no longer, which is how it begins. */
  hold(alive: boolean): void;
}

/** Where a client's exchanges go. */
export interface ClientConnection {
  /** Sends a request's head. Never throws: what goes wrong is told by `closed`. */
  open(request: ClientRequest, sink: ResponseSink): ClientExchange;
  /** Ends every exchange and the connection. */
  close(): void;
}

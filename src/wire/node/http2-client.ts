import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from "node:http2";
import { Readable } from "node:stream";
import type {
  ClientClosed,
  ClientConnection,
  ClientExchange,
  ClientRequest,
  Fields,
  ResetCode,
  ResponseSink,
} from "../exchange.ts";
import { resetCodes } from "../exchange.ts";
import { noFields } from "../headers.ts";
import { headOf, NodeFields } from "./fields.ts";
import { destroyOnceGone } from "./gone.ts";
import { type ConnectionOptions, keepAlive } from "./keep-alive.ts";

const streaming = { endStream: false };
const refusedStream = 7; // RFC 9113, section 7

/** A client's exchanges over node:http2: one session at a time, opened with the first request and again when it has ended. */
export function createHttp2Connection(options: ConnectionOptions): ClientConnection {
  let current: Session | undefined;
  let closed = false;
  return {
    open(request, sink) {
      if (closed) return failed(sink, { how: "closed" });
      if (current === undefined || !current.usable) current = new Session(options);
      return current.open(request, sink);
    },
    close() {
      closed = true;
      current?.close();
    },
  };
}

/** One HTTP/2 connection. Nothing it meets throws outside a call, and it keeps the process alive only while calls are open. */
class Session {
  readonly #options: ConnectionOptions;
  readonly #session: ClientHttp2Session;
  #connected = false;
  #closing = false;
  #failure: unknown;
  #open = 0;

  constructor(options: ConnectionOptions) {
    const { origin, tls, connectTimeoutMs, streamWindowBytes, connectionWindowBytes, maxHeaderBytes } = options;
    this.#options = options;
    const settings = { enablePush: false, initialWindowSize: streamWindowBytes, maxHeaderListSize: maxHeaderBytes };
    const session = connect(origin, { settings, ...tls });
    this.#session = session;
    const late = () => session.destroy(new ConnectTimeout(connectTimeoutMs));
    const timer = setTimeout(late, connectTimeoutMs).unref(); // without a call nobody waits for the connection
    session.on("error", (error: Error) => {
      this.#failure ??= error;
    });
    session.on("close", () => clearTimeout(timer));
    session.on("connect", () => {
      session.setLocalWindowSize(connectionWindowBytes);
      keepAlive(session, { ...options, busy: () => this.#open > 0 });
    });
    // The server's first frame (RFC 9113, section 3.4): a port that accepts and then is silent is no connection.
    session.once("remoteSettings", () => {
      clearTimeout(timer);
      this.#connected = true;
    });
  }

  /** False when it takes no more requests: broken, or told to go away. */
  get usable(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  open(request: ClientRequest, sink: ResponseSink): ClientExchange {
    const { method, path, headers } = request;
    const { scheme, authority } = this.#options;
    const pseudo = [":method", method, ":scheme", scheme, ":authority", authority, ":path", path];
    let stream: ClientHttp2Stream;
    try {
      stream = this.#session.request(headOf(pseudo, headers), streaming);
    } catch (cause) {
      // The session has just ended, or the fields are none that HTTP/2 carries.
      return failed(sink, this.usable ? { how: "unreachable", cause } : { how: "unsent" });
    }
    if (this.#open++ === 0) this.#session.ref();
    return new Http2ClientExchange(stream, sink, this);
  }

  /** A request's exchange is over. @returns how. */
  over(stream: ClientHttp2Stream, { whole, failure }: { whole: boolean; failure: unknown }): ClientClosed {
    if (--this.#open === 0 && !this.#session.destroyed) this.#session.unref();
    if (whole) return { how: "done" };
    if (this.#closing) return { how: "closed" };
    if (stream.rstCode === refusedStream) return { how: "refused" };
    if (!this.#session.destroyed) return { how: "reset", code: stream.rstCode ?? 0 };
    return { how: this.#connected ? "lost" : "unreachable", cause: this.#failure ?? failure };
  }

  /** A call cancelled just now is reset in this turn of the event loop; breaking the connection in it too would lose the reset. */
  close(): void {
    this.#closing = true;
    setImmediate(() => this.#session.destroy());
  }
}

class ConnectTimeout extends Error {
  readonly code = "ETIMEDOUT";

  constructor(timeoutMs: number) {
    super(`no connection within ${timeoutMs} ms`);
  }
}

/** Where a stream keeps its exchange, so that all streams share their listeners. */
const exchangeKey = Symbol("exchange");

type OwnedStream = ClientHttp2Stream & { [exchangeKey]?: Http2ClientExchange | undefined };

class Http2ClientExchange implements ClientExchange {
  readonly #stream: OwnedStream;
  readonly #sink: ResponseSink;
  readonly #session: Session;
  #trailers: Fields = noFields;
  #endReceived = false;
  #whole = false;
  #drains = false;
  #failure: unknown;

  constructor(stream: OwnedStream, sink: ResponseSink, session: Session) {
    this.#stream = stream;
    this.#sink = sink;
    this.#session = session;
    stream[exchangeKey] = this;
    stream.push = receive;
    stream.on("response", onResponse);
    stream.on("data", onData);
    stream.on("trailers", onTrailers);
    stream.on("end", onEnd);
    stream.on("close", onClose);
    stream.on("error", onError); // "close" follows
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isGone) return true;
    const room = this.#stream.write(bytes);
    if (!room && !this.#drains) {
      this.#drains = true;
      this.#stream.on("drain", onDrain);
    }
    return room;
  }

  end(bytes?: Uint8Array): void {
    if (this.#isGone) return;
    if (bytes === undefined || bytes.length === 0) this.#stream.end();
    else this.#stream.end(bytes);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  reset(code: ResetCode): void {
    if (this.#isGone) return;
    this.#stream.end = leaveOpen;
    // Node would not close a stream before its connection is there.
    if (this.#stream.pending) this.#stream.destroy();
    else this.#stream.close(resetCodes[code]);
  }

  get #isGone(): boolean {
    return this.#stream.destroyed || this.#stream.closed;
  }

  onResponse(headers: IncomingHttpHeaders & IncomingHttpStatusHeader): void {
    this.#sink.head(headers[":status"] ?? 0, new NodeFields(headers));
  }

  onData(bytes: Uint8Array): void {
    this.#sink.data(bytes);
  }

  onTrailers(trailers: IncomingHttpHeaders): void {
    this.#trailers = new NodeFields(trailers);
  }

  onEndReceived(): void {
    this.#endReceived = true;
  }

  onEnd(): void {
    if (!this.#endReceived || this.#stream.rstCode !== 0 || this.#stream.destroyed) return;
    this.#whole = true;
    this.#sink.end(this.#trailers);
  }

  onDrain(): void {
    this.#sink.drained();
  }

  onClose(): void {
    this.#sink.closed(this.#session.over(this.#stream, { whole: this.#whole, failure: this.#failure }));
  }

  /** The streams of a connection hear of its failure before its own listeners do. */
  onError(error: Error): void {
    this.#failure = error.cause ?? error;
  }
}

/**
 * Stands in for a stream's `push`, by which Node hands over what it has read. Node ends what a reset or a broken connection cuts off,
 * too, and a reset may be without an error: the stream is closed by then.
 */
function receive(this: OwnedStream, bytes: Buffer | null): boolean {
  if (bytes === null) {
    if (this.closed) destroyOnceGone(this);
    else this[exchangeKey]?.onEndReceived();
  }
  return Readable.prototype.push.call(this, bytes);
}

/** Stands in for a stream's `end` when it is reset: Node ends a request before that, and it would look whole to the server. */
function leaveOpen(this: OwnedStream): OwnedStream {
  return this;
}

function onError(this: OwnedStream, error: Error): void {
  this[exchangeKey]?.onError(error);
}

function onResponse(this: OwnedStream, headers: IncomingHttpHeaders & IncomingHttpStatusHeader): void {
  this[exchangeKey]?.onResponse(headers);
}

function onData(this: OwnedStream, bytes: Buffer): void {
  this[exchangeKey]?.onData(bytes);
}

function onTrailers(this: OwnedStream, trailers: IncomingHttpHeaders): void {
  this[exchangeKey]?.onTrailers(trailers);
}

function onEnd(this: OwnedStream): void {
  this[exchangeKey]?.onEnd();
}

function onDrain(this: OwnedStream): void {
  this[exchangeKey]?.onDrain();
}

/** Node keeps a closed stream for a while: the call must not be kept with it. */
function onClose(this: OwnedStream): void {
  this[exchangeKey]?.onClose();
  this[exchangeKey] = undefined;
}

/** An exchange that was over before it began. Its sink hears of it later, as of any other. */
export function failed(sink: ResponseSink, closed: ClientClosed): ClientExchange {
  queueMicrotask(() => sink.closed(closed));
  return { write: () => true, end: () => {}, pause: () => {}, resume: () => {}, reset: () => {} };
}

import { constants, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { Readable } from "node:stream";
import { type Due, timers } from "../../core/index.ts";
import {
  type Fields,
  type HeaderList,
  type RequestSink,
  type ResetCode,
  resetCodes,
  type ServerClosed,
  type ServerExchange,
} from "../exchange.ts";
import { addFields, headOf, NodeFields } from "./fields.ts";
import { destroyOnceGone } from "./gone.ts";

/** What all exchanges of a server share. */
export interface Http2ExchangeOptions {
  /** How long a peer may go on sending a request that has been answered. */
  readonly lingerMs: number;
  /** Called once, when nothing of the exchange is left. */
  readonly onClosed: () => void;
}

const withTrailers = { waitForTrailers: true, sendDate: false } as const;
const withoutTrailers = { sendDate: false } as const;
const headOnly = { endStream: true, sendDate: false } as const;

/** A server's exchange over a stream of node:http2. */
export class Http2ServerExchange implements ServerExchange {
  readonly httpVersion = "2";
  readonly headers: Fields;
  readonly #stream: OwnedStream;
  readonly #session: ServerHttp2Session | undefined;
  readonly #head: IncomingHttpHeaders;
  readonly #options: Http2ExchangeOptions;
  #sink: RequestSink | undefined;
  #added: string[] | undefined;
  #trailers: HeaderList | undefined;
  #requestEnded = false;
  #drains = false;
  #paused = false;
  #linger: Due | undefined;

  constructor(stream: OwnedStream, head: IncomingHttpHeaders, options: Http2ExchangeOptions) {
    this.#stream = stream;
    this.#session = stream.session as ServerHttp2Session | undefined; // a server's stream has a server's session
    this.#head = head;
    this.#options = options;
    this.headers = new NodeFields(head);
    stream[exchangeKey] = this;
    stream.push = queue;
    stream.on("error", ignore); // "close" follows and says what there is to know
    stream.on("close", onClose);
  }

  get method(): string {
    return this.#head[":method"] ?? "";
  }

  get path(): string {
    return this.#head[":path"] ?? "";
  }

  get authority(): string {
    return this.#head[":authority"] ?? this.headers.get("host") ?? "";
  }

  get scheme(): "http" | "https" {
    return this.#session?.encrypted === true ? "https" : "http";
  }

  get peerAddress(): string {
    const { destroyed = true, socket } = this.#session ?? {};
    return destroyed ? "" : (socket?.remoteAddress ?? "");
  }

  get responded(): boolean {
    return this.#stream.headersSent;
  }

  headerSize(): { pairs: number; bytes: number } {
    const headers = this.#head;
    let pairs = 0;
    let bytes = 0;
    for (const name in headers) {
      const value = headers[name] ?? "";
      pairs += typeof value === "string" ? 1 : value.length;
      bytes += name.length + (typeof value === "string" ? value.length : value.join().length);
    }
    return { pairs, bytes };
  }

  addHeader(name: string, value: string): void {
    this.#added ??= [];
    this.#added.push(name, value);
  }

  accept(sink: RequestSink): void {
    this.#sink = sink;
    if (this.#head.expect === "100-continue" && !this.#isGone) this.#stream.additionalHeaders({ ":status": 100 });
    const stream = this.#stream;
    // What came along with the head, in one read, is in the queue already.
    if (stream.readableLength === 0) stream.push = receive;
    else stream.on("data", onData);
    stream.on("end", onEnd);
    stream.resume();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    if (this.#isGone) return;
    if (this.#stream.isPaused()) this.#stream.resume();
    else this.#stream._read(0);
  }

  respondWhole(status: number, headers: HeaderList, body?: Uint8Array): void {
    if (this.#isGone) return;
    if (body === undefined || body.length === 0) this.#respond(status, headers, headOnly);
    else {
      // Without trailers Node destroys the stream before its last write is reported done, and makes an error of that, with a stack.
      this.respond(status, headers, true);
      this.#stream.end(body);
    }
    this.#afterEnd();
  }

  respond(status: number, headers: HeaderList, trailers: boolean): void {
    if (this.#isGone) return;
    this.#respond(status, headers, trailers ? withTrailers : withoutTrailers);
    if (trailers) this.#stream.on("wantTrailers", onWantTrailers);
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

  end(bytes?: Uint8Array, trailers?: HeaderList): void {
    if (this.#isGone) return;
    this.#trailers = trailers;
    if (bytes === undefined || bytes.length === 0) this.#stream.end();
    else this.#stream.end(bytes);
    this.#afterEnd();
  }

  reset(code: ResetCode): void {
    if (!this.#isGone) this.#stream.close(resetCodes[code]);
  }

  get #isGone(): boolean {
    return this.#stream.destroyed || this.#stream.closed;
  }

  #respond(status: number, headers: HeaderList, options: object): void {
    const list = this.#added === undefined ? headers : [...headers, ...this.#added];
    this.#stream.respond(headOf([":status", String(status)], list), options);
  }

  /** @returns false to let the peer wait. */
  onData(bytes: Uint8Array): boolean {
    this.#sink?.data(bytes);
    return !this.#paused;
  }

  onEnd(): void {
    if (this.#requestEnded || this.#isGone) return; // Node ends what a reset or a broken connection cuts off, too
    this.#requestEnded = true;
    this.#linger?.cancel();
    this.#sink?.end();
  }

  onDrain(): void {
    this.#sink?.drained();
  }

  onWantTrailers(): void {
    if (this.#isGone) return;
    try {
      this.#stream.sendTrailers(addFields({}, this.#trailers ?? []));
    } catch {
      this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR); // a trailer that HTTP/2 does not carry: half an answer must not pass for a whole
    }
  }

  /** An answer may come before its request is whole: the rest is dropped, and a peer that never ends is cut off (RFC 9113, section 8.1). */
  #afterEnd(): void {
    if (this.#requestEnded) return;
    if (this.#stream.endAfterHeaders) return;
    if (this.#sink === undefined) this.#stream.resume();
    else if (this.#paused) this.resume();
    this.#linger = timers.schedule(this.#options.lingerMs, () => this.reset("none"));
  }

  onClose(): void {
    this.#linger?.cancel();
    this.#sink?.closed(this.#how());
    this.#options.onClosed();
  }

  #how(): ServerClosed {
    if (this.#session === undefined || (this.#session.destroyed && !this.#stream.writableFinished)) return "lost";
    return this.#stream.rstCode === 0 && this.#stream.writableFinished ? "done" : "reset";
  }
}

/** Where a stream keeps its exchange, so that all streams share their listeners: a call makes no closure. */
const exchangeKey = Symbol("exchange");

type OwnedStream = ServerHttp2Stream & { [exchangeKey]?: Http2ServerExchange | undefined };

function ignore(): void {}

function onData(this: OwnedStream, bytes: Buffer): void {
  if (this[exchangeKey]?.onData(bytes) === false) this.pause();
}

function onEnd(this: OwnedStream): void {
  this[exchangeKey]?.onEnd();
}

/** Stands in for a stream's `push`, by which Node hands over what it has read, and its end: of the request, or of the stream. */
function queue(this: OwnedStream, bytes: Buffer | null): boolean {
  if (bytes === null && this.closed) destroyOnceGone(this);
  return Readable.prototype.push.call(this, bytes);
}

/**
 * Stands in for `push` once the body is wanted, so that its bytes skip the queue of `Readable`, its events and its turns of the event
 * loop. The end goes on to `Readable`, which closes the stream.
 */
function receive(this: OwnedStream, bytes: Buffer | null): boolean {
  if (bytes !== null) return this[exchangeKey]?.onData(bytes) ?? true;
  this[exchangeKey]?.onEnd();
  return queue.call(this, null);
}

function onDrain(this: OwnedStream): void {
  this[exchangeKey]?.onDrain();
}

function onWantTrailers(this: OwnedStream): void {
  this[exchangeKey]?.onWantTrailers();
}

/** Node keeps a closed stream for a while: the call must not be kept with it. */
function onClose(this: OwnedStream): void {
  this[exchangeKey]?.onClose();
  this[exchangeKey] = undefined;
}

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
import type { HeadBlock } from "./heads.ts";
import { malformed, type RequestHead, readTrailers } from "./heads.ts";
import { type Cut, Stream, type StreamHost } from "./stream.ts";

/** What a server's stream needs of its connection. */
export interface ServerHost extends StreamHost {
  readonly peer: Peer;
  /** How long a peer may go on sending a request that has been answered. */
  readonly lingerMs: number;
  /** Nothing is left of a request. */
  over(): void;
}

/** Who is at the other end. */
export interface Peer {
  readonly address: string;
  readonly encrypted: boolean;
  /** Its verified certificate in DER, when it showed one. */
  readonly certificate: Uint8Array | undefined;
}

/** A stream that a client has opened. */
export class ServerStream extends Stream implements ServerExchange {
  readonly httpVersion = "2";
  responded = false;
  readonly #server: ServerHost;
  readonly #head: RequestHead;
  #sink: RequestSink | undefined;
  /** The body, while nobody takes it. */
  #waiting: Buffer[] | undefined;
  #bodyBytes = 0;
  #added: string[] | undefined;
  #linger: Due | undefined;
  #how: ServerClosed = "done";

  constructor(server: ServerHost, id: number, head: RequestHead) {
    super(server);
    this.#server = server;
    this.#head = head;
    this.id = id;
  }

  get method(): string {
    return this.#head.method;
  }

  get path(): string {
    return this.#head.path;
  }

  get authority(): string {
    return this.#head.authority;
  }

  get headers(): Fields {
    return this.#head.fields;
  }

  get scheme(): "http" | "https" {
    return this.#server.peer.encrypted ? "https" : "http";
  }

  get peerAddress(): string {
    return this.#server.peer.address;
  }

  get peerCertificate(): Uint8Array | undefined {
    return this.#server.peer.certificate;
  }

  headerSize(): { pairs: number; bytes: number } {
    return this.#head.size;
  }

  addHeader(name: string, value: string): void {
    this.#added ??= [];
    this.#added.push(name, value);
  }

  accept(sink: RequestSink): void {
    if (this.closed) {
      queueMicrotask(() => sink.closed(this.#how));
      return;
    }
    this.#sink = sink;
    if (this.#head.expectsContinue && !this.responded) this.#sendHead(100, []);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined) for (const bytes of waiting) if (!this.closed) sink.data(bytes);
    if (this.closed) return;
    this.flow();
    if (this.remoteEnded) sink.end();
  }

  pause(): void {
    this.hold();
  }

  resume(): void {
    if (!this.closed) this.flow();
  }

  respondWhole(status: number, headers: HeaderList, body?: Uint8Array): void {
    if (this.closed || this.responded) return;
    const empty = body === undefined || body.length === 0;
    this.#respond(status, headers, empty);
    if (empty) this.sentEnd();
    else this.sendEnd(body, undefined);
    this.#afterEnd();
  }

  respond(status: number, headers: HeaderList, _trailers: boolean): void {
    if (!this.closed && !this.responded) this.#respond(status, headers, false);
  }

  write(bytes: Uint8Array): boolean {
    return this.send(bytes);
  }

  end(bytes?: Uint8Array, trailers?: HeaderList): void {
    if (this.closed) return;
    this.sendEnd(bytes, trailers);
    this.#afterEnd();
  }

  reset(code: ResetCode): void {
    this.abort(resetCodes[code]);
  }

  /** Trailers: nothing reads them, but they have to be well-formed (RFC 9113, section 8.1). */
  protected onHeaders(block: HeadBlock, end: boolean): void {
    if (!end) throw malformed("trailers have to end the stream");
    readTrailers(block);
  }

  protected onData(bytes: Buffer): void {
    this.#bodyBytes += bytes.length;
    const { contentLength } = this.#head;
    if (contentLength !== undefined && this.#bodyBytes > contentLength)
      throw malformed("a body that is longer than its length");
    if (this.#sink !== undefined) this.#sink.data(bytes);
    else if (!this.localEnded) {
      this.#waiting ??= [];
      this.#waiting.push(bytes);
    }
  }

  protected onEnd(): void {
    const { contentLength } = this.#head;
    if (contentLength !== undefined && this.#bodyBytes !== contentLength)
      throw malformed("a body that is shorter than its length");
    this.#linger?.cancel();
    this.#sink?.end();
  }

  protected onDrained(): void {
    this.#sink?.drained();
  }

  protected onClosed(cut: Cut | undefined): void {
    this.#linger?.cancel();
    this.#waiting = undefined;
    if (cut !== undefined && !this.localEnded) this.#how = cut.how === "reset" ? "reset" : "lost";
    this.#sink?.closed(this.#how);
    this.#server.over();
  }

  #respond(status: number, headers: HeaderList, end: boolean): void {
    this.responded = true;
    this.#sendHead(status, headers, end);
  }

  /** @throws TypeError for a field that HTTP/2 does not carry. */
  #sendHead(status: number, headers: HeaderList, end = false): void {
    const { writer } = this.connection;
    writer.beginHeaders(this.id);
    try {
      writer.fields(statusField(status));
      writer.fields(headers);
      if (this.#added !== undefined && status >= 200) writer.fields(this.#added);
    } catch (thrown) {
      writer.dropHeaders();
      throw thrown;
    }
    writer.endHeaders(end);
  }

  /** An answer may come before its request is whole: the rest is dropped, and a peer that never ends is cut off (RFC 9113, section 8.1). */
  #afterEnd(): void {
    if (this.remoteEnded || this.closed) return;
    this.#waiting = undefined;
    this.flow();
    this.#linger = timers.schedule(this.#server.lingerMs, () => this.reset("none"));
  }
}

const statusFields = new Map<number, HeaderList>();

/** Statuses have three digits: there are not many. */
function statusField(status: number): HeaderList {
  let field = statusFields.get(status);
  if (field === undefined) {
    field = Object.freeze([":status", String(status)]);
    statusFields.set(status, field);
  }
  return field;
}

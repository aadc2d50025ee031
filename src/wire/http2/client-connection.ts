import { wireBounds } from "../../core/index.ts";
import type { ClientClosed, ClientExchange, ClientRequest, HeaderList, ResponseSink } from "../exchange.ts";
import { type ClientHost, ClientStream } from "./client-stream.ts";
import { Connection, type ConnectionBounds } from "./connection.ts";
import { ConnectionError, errorCodes, maxStreamId, preface, settingIds } from "./frames.ts";
import type { HeadBlock } from "./heads.ts";
import type { Pipe } from "./output.ts";
import type { Cut } from "./stream.ts";

export interface ClientConnectionOptions extends ConnectionBounds {
  readonly scheme: "http" | "https";
  /** Host and port. */
  readonly authority: string;
  /** The peer's settings have come: it is there, and speaks HTTP/2. */
  readonly onReady: () => void;
  /** Calls are open, or none is any more. */
  readonly onBusy: (busy: boolean) => void;
  /** It takes no more requests: told to go away, closed or broken, by what if that is known. Called once. */
  readonly onGone?: (cause: unknown) => void;
}

/** A client's side of a connection. */
export class ClientConnection extends Connection implements ClientHost {
  readonly #options: ClientConnectionOptions;
  readonly #waiting = new Set<ClientStream>();
  readonly #pseudo = new Map<string, HeaderList>();
  #maxStreams: number = wireBounds.cautiousStreams;
  #announcedStreams = Number.POSITIVE_INFINITY;
  #nextId = 1;
  #connected = false;
  #ready = false;
  #gone = false;

  constructor(pipe: Pipe, options: ClientConnectionOptions) {
    super(pipe, options);
    this.#options = options;
    this.writer.output.blocked = true; // until there is a connection
    this.writer.output.raw(preface);
    this.start([[settingIds.enablePush, 0]]);
  }

  /** False when it takes no more requests: broken, told to go away, or at the end of its numbers. */
  get usable(): boolean {
    return this.open && !this.#gone && this.#nextId <= maxStreamId;
  }

  /** True when the peer takes one more request at once. */
  get free(): boolean {
    return this.usable && this.streams.size + this.#waiting.size < this.#maxStreams;
  }

  get busy(): boolean {
    return this.streams.size + this.#waiting.size > 0;
  }

  /** The pipe carries bytes. What was cancelled before is not sent. */
  connected(): void {
    this.#connected = true;
    this.#begin();
    this.drained();
  }

  /** Sends a request's head, when the peer takes one more. @throws TypeError for a field that HTTP/2 does not carry. */
  request(request: ClientRequest, sink: ResponseSink): ClientExchange {
    this.writer.encoder.check(request.headers);
    if (!this.busy) this.#options.onBusy(true);
    const stream = new ClientStream(this, request, sink);
    this.#waiting.add(stream);
    this.#begin();
    return stream;
  }

  /** Ends every call and the connection. */
  /** The server hears that the calls are not wanted any more: a connection that only ends might come back. */
  close(): void {
    for (const { id } of this.streams.values()) this.sendReset(id, errorCodes.cancel);
    this.shut({ how: "closed" });
  }

  /** The same list for the same path, which the encoder knows again. */
  pseudo(method: string, path: string): HeaderList {
    const key = method + path;
    let list = this.#pseudo.get(key);
    if (list === undefined) {
      const { scheme, authority } = this.#options;
      list = Object.freeze([":method", method, ":scheme", scheme, ":authority", authority, ":path", path]);
      if (this.#pseudo.size >= wireBounds.maxKnownPaths) this.#pseudo.clear();
      this.#pseudo.set(key, list);
    }
    return list;
  }

  closedBy(cut: Cut): ClientClosed {
    if (cut.how === "lost" && !this.#ready) return { how: "unreachable", cause: cut.cause };
    return cut;
  }

  protected override end(how: Cut): void {
    this.#leave("cause" in how ? how.cause : undefined);
    super.end(how);
    for (const stream of this.#waiting) stream.cut(how);
  }

  protected get lastTaken(): number {
    return 0;
  }

  protected isIdle(streamId: number): boolean {
    return streamId % 2 === 0 || streamId >= this.#nextId;
  }

  protected onOpened(_streamId: number, _block: HeadBlock, _end: boolean): void {
    throw new ConnectionError(errorCodes.protocol, "HEADERS on a stream that the client has not opened");
  }

  protected onReopened(_streamId: number): void {
    throw new ConnectionError(errorCodes.streamClosed, "HEADERS on a stream that is over");
  }

  protected onForgotten(): void {
    this.#begin();
    if (this.busy) return;
    if (this.open) this.#options.onBusy(false);
    if (this.open && this.#gone) this.shut({ how: "closed" });
  }

  override forget(stream: ClientStream): void {
    this.#waiting.delete(stream);
    super.forget(stream);
  }

  override onSetting(id: number, value: number): void {
    super.onSetting(id, value);
    if (id === settingIds.maxConcurrentStreams) this.#announcedStreams = value;
    if (id === settingIds.enablePush && value !== 0)
      throw new ConnectionError(errorCodes.protocol, "a server cannot allow push");
  }

  override onSettings(): void {
    super.onSettings();
    this.#maxStreams = this.#announcedStreams;
    if (!this.#ready) {
      this.#ready = true;
      this.#options.onReady();
    }
    this.#begin();
  }

  /** What the peer did not begin may be sent again (RFC 9113, section 6.8). After an error nothing more is to be expected of it. */
  onGoAway(lastStreamId: number, code: number): void {
    this.#leave(undefined);
    for (const stream of [...this.#waiting]) stream.cut({ how: "unsent" });
    for (const stream of [...this.streams.values()]) if (stream.id > lastStreamId) stream.cut({ how: "refused" });
    if (code !== errorCodes.none) this.shut({ how: "lost", cause: new PeerFailed(code) });
    else if (!this.busy && this.open) this.shut({ how: "closed" });
  }

  /** Told before the calls hear of it, so that those that are sent again go elsewhere. */
  #leave(cause: unknown): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#options.onGone?.(cause);
  }

  #begin(): void {
    if (!this.open || this.#gone || !this.#connected) return;
    for (const stream of this.#waiting) {
      if (this.streams.size >= this.#maxStreams) return;
      this.#waiting.delete(stream);
      const id = this.#nextId;
      this.#nextId += 2;
      this.streams.set(id, stream);
      stream.begin(id);
    }
  }
}

class PeerFailed extends Error {
  readonly code = "ERR_HTTP2_ERROR";

  constructor(code: number) {
    super(`the peer ended the connection with HTTP/2 error code ${code}`);
  }
}

import type { HeaderList } from "../exchange.ts";
import type { FrameWriter } from "./frame-writer.ts";
import { defaultWindowBytes, type ErrorCode, errorCodes, maxWindowBytes, StreamError } from "./frames.ts";
import type { HeadBlock } from "./heads.ts";

/** What a stream needs of its connection. */
export interface StreamHost {
  readonly writer: FrameWriter;
  /** The window that a new stream has for sending, and for receiving. */
  readonly peerStreamWindow: number;
  readonly ownStreamWindow: number;
  /** How much of a stream's bytes can be sent now, in one frame. */
  readonly room: number;
  /** True when so much can be sent in one go, before nobody's turn. */
  canSend(length: number): boolean;
  sendData(streamId: number, bytes: Uint8Array, end: boolean): void;
  sendReset(streamId: number, code: ErrorCode): void;
  /** The stream has something to send when its turn comes. */
  queue(stream: Stream): void;
  /** So many bytes more, or less, are held up by streams. */
  hold(bytes: number): void;
  /** The stream is over. */
  forget(stream: Stream): void;
}

/**
 * One stream, as both roles see it: its two halves and their flow control (RFC 9113, section 5). The two roles extend it, and are
 * themselves the exchanges that protocols see, so that a call makes one object.
 */
export abstract class Stream {
  /** 0 until the peer knows of it. */
  id = 0;
  /** Both halves are over. */
  closed = false;
  protected readonly connection: StreamHost;
  /** We have sent END_STREAM. */
  protected localEnded = false;
  /** The peer has sent END_STREAM. */
  protected remoteEnded = false;
  #sendWindow: number;
  #receiveWindow: number;
  /** Bytes received, for which the peer has not got its window back. */
  #unreturned = 0;
  /** Those of them that the connection counts as held up. */
  #held = 0;
  /** False while nobody takes the body, or its taker has asked for a pause. */
  #flowing = false;
  /** What waits to be sent, and how much of the first piece has been. */
  #pending: Uint8Array[] = [];
  #pendingAt = 0;
  #ending = false;
  #trailers: HeaderList | undefined;
  /** Somebody was told to wait. */
  #owed = false;

  constructor(connection: StreamHost) {
    this.connection = connection;
    this.#sendWindow = connection.peerStreamWindow;
    this.#receiveWindow = Math.max(connection.ownStreamWindow, defaultWindowBytes); // the peer may not have seen our settings yet
  }

  /** A header block: the head, or the trailers. */
  protected abstract onHeaders(block: HeadBlock, end: boolean): void;
  protected abstract onData(bytes: Buffer): void;
  /** The peer's half is whole. */
  protected abstract onEnd(): void;
  protected abstract onDrained(): void;
  /** Nothing is left of the stream. `cut` is undefined when both halves came to their end. */
  protected abstract onClosed(cut: Cut | undefined): void;

  // What the connection tells.

  receive(bytes: Buffer, overhead: number): void {
    if (this.remoteEnded) throw new StreamError(errorCodes.streamClosed, "DATA after the end of the stream");
    const length = bytes.length + overhead;
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0) throw new StreamError(errorCodes.flowControl, "more DATA than the stream's window");
    this.#unreturned += length;
    if (!this.#flowing) this.#holdUp(length);
    if (bytes.length > 0) this.onData(bytes);
    if (this.#flowing) this.#returnWindow();
  }

  receiveEnd(): void {
    if (this.closed) return;
    if (this.remoteEnded) throw new StreamError(errorCodes.streamClosed, "END_STREAM after the end of the stream");
    this.remoteEnded = true;
    this.onEnd();
    this.#closeWhenOver();
  }

  receiveHeaders(block: HeadBlock, end: boolean): void {
    if (this.remoteEnded) throw new StreamError(errorCodes.streamClosed, "HEADERS after the end of the stream");
    this.onHeaders(block, end);
    if (end) this.receiveEnd();
  }

  /** A WINDOW_UPDATE. */
  widen(bytes: number): void {
    if (bytes === 0) throw new StreamError(errorCodes.protocol, "a WINDOW_UPDATE of 0");
    this.resize(bytes);
    this.goOn();
  }

  /** The peer's SETTINGS_INITIAL_WINDOW_SIZE has changed by so much. The window may be negative then (RFC 9113, section 6.9.2). */
  resize(change: number): void {
    this.#sendWindow += change;
    if (this.#sendWindow > maxWindowBytes) throw new StreamError(errorCodes.flowControl, "a window over 2^31-1 bytes");
  }

  /** Sends what waits, if the window allows. */
  goOn(): void {
    if (this.#sendWindow > 0 && this.#pending.length > 0) this.connection.queue(this);
  }

  /** Ends it without another word to the peer. */
  cut(how: Cut): void {
    if (this.closed) return;
    this.#pending = [];
    this.#close(how);
  }

  /** Sends a piece of what waits. False when it has to wait on, or has nothing more. */
  sendSome(): boolean {
    const bytes = this.#pending[0];
    if (bytes === undefined) return false;
    const left = bytes.length - this.#pendingAt;
    const size = Math.min(left, this.#sendWindow, this.connection.room);
    if (size <= 0) return false;
    const piece = bytes.subarray(this.#pendingAt, this.#pendingAt + size);
    this.#pendingAt += size;
    if (size === left) {
      this.#pending.shift();
      this.#pendingAt = 0;
    }
    if (this.#pending.length > 0) this.#sendNow(piece, false);
    else this.#sendLast(piece);
    return this.#pending.length > 0 && this.#sendWindow > 0;
  }

  // What the exchange does.

  /** From now on bytes are taken as they come. */
  protected flow(): void {
    this.#flowing = true;
    this.#release();
    this.#returnWindow();
  }

  /** The peer gets no new window. What it may still send is given on. */
  protected hold(): void {
    this.#flowing = false;
  }

  protected send(bytes: Uint8Array): boolean {
    if (this.#isOver) return true;
    if (bytes.length === 0) return !this.#owed;
    if (this.#canSend(bytes.length)) {
      this.#sendNow(bytes, false);
      return true;
    }
    this.#pending.push(bytes);
    this.#owed = true;
    if (this.#sendWindow > 0) this.connection.queue(this);
    return false;
  }

  protected sendEnd(bytes: Uint8Array | undefined, trailers: HeaderList | undefined): void {
    if (this.#isOver) return;
    this.#ending = true;
    this.#trailers = trailers;
    const length = bytes?.length ?? 0;
    if (this.id !== 0 && this.#pending.length === 0 && (length === 0 || this.#canSend(length))) this.#sendLast(bytes);
    else {
      if (bytes !== undefined && length > 0) this.#pending.push(bytes);
      if (this.#sendWindow > 0) this.connection.queue(this);
    }
  }

  /** The peer knows of the stream: what has waited for that goes out. */
  protected started(): void {
    this.#sendWindow = this.connection.peerStreamWindow;
    if (this.#pending.length > 0) this.connection.queue(this);
    else if (this.#ending) this.#sendLast(undefined);
  }

  /** A head with END_STREAM has been sent. */
  protected sentEnd(): void {
    this.localEnded = true;
    this.#closeWhenOver();
  }

  /** Ends both halves at once. */
  protected abort(code: ErrorCode): void {
    if (this.closed) return;
    if (this.id !== 0) this.connection.sendReset(this.id, code);
    this.cut({ how: "reset", code });
  }

  /** Nothing more can be sent. */
  get #isOver(): boolean {
    return this.closed || this.#ending || this.localEnded;
  }

  /** In one go, in front of nobody. */
  #canSend(length: number): boolean {
    return this.id !== 0 && this.#pending.length === 0 && length <= this.#sendWindow && this.connection.canSend(length);
  }

  #sendNow(bytes: Uint8Array, end: boolean): void {
    this.#sendWindow -= bytes.length;
    this.connection.sendData(this.id, bytes, end);
  }

  /** Sends the last of what waits: of all, with the end of the stream, or of what there is so far. */
  #sendLast(bytes: Uint8Array | undefined): void {
    if (!this.#ending) {
      if (bytes !== undefined) this.#sendNow(bytes, false);
      this.#tellDrained();
      return;
    }
    if (this.#trailers === undefined) this.#sendNow(bytes ?? none, true);
    else {
      if (bytes !== undefined && bytes.length > 0) this.#sendNow(bytes, false);
      this.#sendTrailers(this.#trailers);
    }
    this.sentEnd();
  }

  #sendTrailers(trailers: HeaderList): void {
    const { writer } = this.connection;
    writer.beginHeaders(this.id);
    try {
      writer.fields(trailers);
    } catch {
      writer.dropHeaders();
      this.abort(errorCodes.internal); // half an answer must not pass for a whole
      return;
    }
    writer.endHeaders(true);
  }

  #tellDrained(): void {
    if (!this.#owed) return;
    this.#owed = false;
    this.onDrained();
  }

  #holdUp(bytes: number): void {
    this.#held += bytes;
    this.connection.hold(bytes);
  }

  #release(): void {
    if (this.#held === 0) return;
    const held = this.#held;
    this.#held = 0;
    this.connection.hold(-held);
  }

  /** Half a window at a time, so that few frames are spent on it. */
  #returnWindow(): void {
    if (this.remoteEnded || this.closed || this.#unreturned * 2 < this.connection.ownStreamWindow) return;
    this.#receiveWindow += this.#unreturned;
    this.connection.writer.windowUpdate(this.id, this.#unreturned);
    this.#unreturned = 0;
  }

  #closeWhenOver(): void {
    if (this.localEnded && this.remoteEnded) this.#close(undefined);
  }

  #close(cut: Cut | undefined): void {
    if (this.closed) return;
    this.closed = true;
    this.#release();
    this.connection.forget(this);
    this.onClosed(cut);
  }
}

/** How a stream came to an early end. */
export type Cut =
  /** By a RST_STREAM, of the peer's or our own. */
  | { readonly how: "reset"; readonly code: number }
  /** The peer did not begin to process it, and says so. */
  | { readonly how: "refused" }
  /** The peer never heard of it. */
  | { readonly how: "unsent" }
  /** The connection broke. */
  | { readonly how: "lost"; readonly cause: unknown }
  /** The connection was closed from this side. */
  | { readonly how: "closed" };

const none = new Uint8Array(0);

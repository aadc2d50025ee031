import { type Due, timers, wireBounds } from "../../core/index.ts";
import type { ServerExchange } from "../exchange.ts";
import { Connection, type ConnectionBounds } from "./connection.ts";
import { ConnectionError, errorCodes, maxStreamId, preface, StreamError, settingIds } from "./frames.ts";
import type { HeadBlock } from "./heads.ts";
import { malformed, readRequestHead } from "./heads.ts";
import type { Pipe } from "./output.ts";
import { type Peer, type ServerHost, ServerStream } from "./server-stream.ts";

export interface ServerConnectionOptions extends ConnectionBounds {
  readonly maxConcurrentStreams: number;
  /** How long a peer may go on sending a request that has been answered. */
  readonly lingerMs: number;
  /** Answers each request; it owns the exchange and must end it. */
  readonly onRequest: (exchange: ServerExchange) => void;
  /** Nothing is left of a request. */
  readonly onOver: () => void;
}

/** A server's side of a connection. */
export class ServerConnection extends Connection implements ServerHost {
  readonly peer: Peer;
  readonly #options: ServerConnectionOptions;
  #lastStreamId = -1;
  /** Between which numbers streams were passed over. */
  readonly #skipped: [from: number, to: number][] = [];
  #prefaceSeen = 0;
  #reading = true;
  #draining = false;
  /** No stream over it is taken. */
  #takesUpTo = maxStreamId;

  constructor(pipe: Pipe, peer: Peer, options: ServerConnectionOptions) {
    super(pipe, options);
    this.peer = peer;
    this.#options = options;
    this.start([[settingIds.maxConcurrentStreams, options.maxConcurrentStreams]]);
  }

  get lingerMs(): number {
    return this.#options.lingerMs;
  }

  /** Nothing is left of a request. */
  over(): void {
    this.#options.onOver();
  }

  protected get lastTaken(): number {
    return Math.max(0, Math.min(this.#lastStreamId, this.#takesUpTo));
  }

  override receive(bytes: Buffer): void {
    super.receive(this.#prefaceSeen === preface.length ? bytes : this.#readPreface(bytes));
    const { output } = this.writer;
    if (!this.#reading || !output.blocked || output.pendingBytes < wireBounds.maxUnsentBytes) return;
    this.#reading = false;
    this.pipe.pause();
  }

  override drained(): void {
    super.drained();
    if (this.#reading) return;
    this.#reading = true;
    this.pipe.resume();
  }

  /**
   * Ends the connection without losing a call: the first GOAWAY only warns; the one that counts follows when the answer to a ping
   * shows that the peer has seen it, so that no stream it opened meanwhile is refused (RFC 9113, section 6.8).
   */
  drain(): void {
    if (this.#draining || !this.open) return;
    this.#draining = true;
    this.writer.goAway(maxStreamId, errorCodes.none, "");
    let due: Due | undefined;
    const finish = () => {
      due?.cancel();
      if (this.#takesUpTo !== maxStreamId || !this.open) return;
      this.#takesUpTo = Math.max(0, this.#lastStreamId);
      this.writer.goAway(this.#takesUpTo, errorCodes.none, "");
      this.onForgotten();
    };
    due = timers.schedule(wireBounds.drainPingMs, finish);
    this.ping(finish);
  }

  /** Ends everything at once. */
  destroy(): void {
    this.lost(undefined);
    this.pipe.destroy();
  }

  protected isIdle(streamId: number): boolean {
    return streamId % 2 === 0 || streamId > this.#lastStreamId;
  }

  protected onOpened(streamId: number, block: HeadBlock, end: boolean): void {
    if (streamId % 2 === 0) throw new ConnectionError(errorCodes.protocol, "a client's streams have odd numbers");
    if (streamId > this.#lastStreamId + 2 && this.#skipped.length < wireBounds.maxStreamGaps) {
      this.#skipped.push([this.#lastStreamId, streamId]);
    }
    this.#lastStreamId = streamId;
    if (streamId > this.#takesUpTo) return; // the peer knows by our GOAWAY
    if (this.streams.size >= this.#options.maxConcurrentStreams) {
      throw new StreamError(errorCodes.refusedStream, "more streams at once than are allowed");
    }
    if (block.tooLarge) {
      this.#refuseHead(streamId);
      return;
    }
    const head = readRequestHead(block);
    if (end && (head.contentLength ?? 0) > 0) throw malformed("a body that is shorter than its length");
    const stream = new ServerStream(this, streamId, head);
    this.streams.set(streamId, stream);
    this.#options.onRequest(stream);
    if (end) stream.receiveEnd();
  }

  /** A number that was passed over counts as one out of order (RFC 9113, section 5.1.1). */
  protected onReopened(streamId: number): void {
    const skipped = this.#skipped.some(([from, to]) => streamId > from && streamId < to);
    throw skipped
      ? new ConnectionError(errorCodes.protocol, "a stream's number is less than that of one before")
      : new ConnectionError(errorCodes.streamClosed, "HEADERS on a stream that is over");
  }

  protected onForgotten(): void {
    if (this.#takesUpTo !== maxStreamId && this.streams.size === 0 && this.open) this.shut({ how: "closed" });
  }

  onGoAway(): void {}

  /** @returns what comes after the preface. */
  #readPreface(bytes: Buffer): Buffer {
    const length = Math.min(bytes.length, preface.length - this.#prefaceSeen);
    const matches = preface.compare(bytes, 0, length, this.#prefaceSeen, this.#prefaceSeen + length) === 0;
    this.#prefaceSeen += length;
    if (!matches && this.open) this.fail(new ConnectionError(errorCodes.protocol, "this is not HTTP/2"));
    return bytes.subarray(length);
  }

  /** More than can be looked at (RFC 6585, section 5). */
  #refuseHead(streamId: number): void {
    this.writer.beginHeaders(streamId);
    this.writer.fields([":status", "431"]);
    this.writer.endHeaders(true);
    this.sendReset(streamId, errorCodes.none);
  }
}

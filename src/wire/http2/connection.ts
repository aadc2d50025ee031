import { wireBounds } from "../../core/index.ts";
import { FrameWriter } from "./frame-writer.ts";
import {
  ConnectionError,
  defaultMaxFrameBytes,
  defaultWindowBytes,
  type ErrorCode,
  errorCodes,
  maxWindowBytes,
  StreamError,
  settingIds,
} from "./frames.ts";
import type { HeadBlock } from "./heads.ts";
import { Incoming, type IncomingBounds, type PeerSink } from "./incoming.ts";
import type { Pipe } from "./output.ts";
import { type ResetBounds, Resets } from "./resets.ts";
import type { Cut, Stream, StreamHost } from "./stream.ts";
import { Turns } from "./turns.ts";

/** What a connection allows its peer. */
export interface ConnectionBounds extends IncomingBounds, ResetBounds {
  /** Bytes that a peer may send on one stream, and on all of them, before they are taken. */
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  /** Bytes that streams may hold up before the peer gets no new window for any. */
  readonly maxHeldBytes: number;
}

type Settings = readonly (readonly [id: number, value: number])[];

const maxFrameBytesBound = 2 ** 24 - 1;

/** One HTTP/2 connection (RFC 9113), as both roles see it. Bytes come by {@link receive}, and go by its pipe. */
export abstract class Connection implements PeerSink, StreamHost {
  readonly writer: FrameWriter;
  /** The window that a new stream has for sending, and for receiving. */
  peerStreamWindow = defaultWindowBytes;
  readonly ownStreamWindow: number;
  /** False once nothing is read any more. */
  open = true;
  protected readonly pipe: Pipe;
  protected readonly streams = new Map<number, Stream>();
  readonly #bounds: ConnectionBounds;
  readonly #incoming: Incoming;
  readonly #turns = new Turns(() => this.room);
  readonly #resets: Resets;
  readonly #pings: (() => void)[] = [];
  #sendWindow = defaultWindowBytes;
  #receiveWindow: number;
  #unreturned = 0;
  #held = 0;
  #nextStreamWindow = defaultWindowBytes;

  constructor(pipe: Pipe, bounds: ConnectionBounds) {
    this.pipe = pipe;
    this.#bounds = bounds;
    this.writer = new FrameWriter(pipe);
    this.#incoming = new Incoming(this, bounds);
    this.#resets = new Resets(bounds);
    this.ownStreamWindow = bounds.streamWindowBytes;
    this.#receiveWindow = Math.max(bounds.connectionWindowBytes, defaultWindowBytes);
  }

  /** True when no stream of this id has been opened, by either side. */
  protected abstract isIdle(streamId: number): boolean;
  /** A header block on a stream that is not idle, but over. @throws ConnectionError unless it is late. */
  protected abstract onReopened(streamId: number): void;
  /** A header block on a stream that is idle. */
  protected abstract onOpened(streamId: number, block: HeadBlock, end: boolean): void;
  protected abstract onForgotten(): void;
  /** The last stream of the peer's that was taken, for a GOAWAY. */
  protected abstract readonly lastTaken: number;
  abstract onGoAway(lastStreamId: number, code: number): void;

  // What the pipe tells.

  receive(bytes: Buffer): void {
    if (!this.open) return;
    try {
      this.#incoming.push(bytes);
    } catch (thrown) {
      if (!(thrown instanceof ConnectionError)) throw thrown;
      this.fail(thrown);
    }
    if (this.open && this.writer.output.pendingBytes > wireBounds.maxUnreadFrameBytes) {
      this.fail(new ConnectionError(errorCodes.enhanceYourCalm, "too much is asked for that is not read"));
    }
  }

  /** The pipe has room again. */
  drained(): void {
    this.writer.output.drained();
    this.#turns.go();
  }

  /** The pipe is broken, or closed by the peer. */
  lost(cause: unknown): void {
    this.end({ how: "lost", cause });
  }

  // What the roles do.

  protected start(settings: Settings): void {
    const { streamWindowBytes, connectionWindowBytes, maxHeaderBytes } = this.#bounds;
    this.writer.settings([
      [settingIds.initialWindowSize, streamWindowBytes],
      [settingIds.maxHeaderListSize, maxHeaderBytes],
      ...settings,
    ]);
    const more = connectionWindowBytes - defaultWindowBytes;
    if (more > 0) this.writer.windowUpdate(0, more);
  }

  /** Asks for a sign of life. */
  ping(answered: () => void): void {
    this.#pings.push(answered);
    this.writer.ping(Buffer.alloc(8), false);
  }

  /** Ends all streams, and reads no more. */
  protected end(how: Cut): void {
    this.open = false;
    for (const stream of [...this.streams.values()]) stream.cut(how);
  }

  /** Ends the connection when what was written is sent. */
  protected shut(how: Cut): void {
    this.end(how);
    this.writer.output.flush(true);
    this.pipe.end();
  }

  protected fail(error: ConnectionError): void {
    this.writer.goAway(this.lastTaken, error.errorCode, error.message);
    this.shut({ how: "lost", cause: error });
  }

  // What streams do.

  /** How much of a stream's bytes can be sent now, in one frame. */
  get room(): number {
    return this.writer.output.blocked ? 0 : Math.min(this.#sendWindow, this.writer.maxFrameBytes);
  }

  /** True when so much can be sent in one go, before nobody's turn. */
  canSend(length: number): boolean {
    return length <= this.#sendWindow && !this.writer.output.blocked && this.#turns.empty;
  }

  sendData(streamId: number, bytes: Uint8Array, end: boolean): void {
    this.#sendWindow -= bytes.length;
    this.writer.data(streamId, bytes, end);
  }

  sendReset(streamId: number, code: ErrorCode): void {
    if (!this.open) return;
    this.#resets.forgive(streamId);
    this.writer.resetStream(streamId, code);
  }

  /** The stream has something to send when its turn comes. */
  queue(stream: Stream): void {
    if (stream.id === 0) return;
    this.#turns.add(stream);
    this.#turns.go();
  }

  /** So many bytes more, or less, are held up by streams. */
  hold(bytes: number): void {
    this.#held += bytes;
    if (bytes < 0) this.#returnWindow();
  }

  forget(stream: Stream): void {
    this.#turns.remove(stream);
    this.streams.delete(stream.id);
    this.onForgotten();
  }

  // What the peer says.

  onData(streamId: number, bytes: Buffer, overhead: number): void {
    const length = bytes.length + overhead;
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0) throw new ConnectionError(errorCodes.flowControl, "more DATA than the connection's window");
    this.#unreturned += length;
    const stream = this.streams.get(streamId);
    if (stream === undefined) this.#onClosedStream(streamId);
    else {
      try {
        stream.receive(bytes, overhead);
      } catch (thrown) {
        this.#failStream(streamId, thrown);
      }
    }
    this.#returnWindow();
  }

  onDataEnd(streamId: number): void {
    try {
      this.streams.get(streamId)?.receiveEnd();
    } catch (thrown) {
      this.#failStream(streamId, thrown);
    }
  }

  onHeaders(streamId: number, block: HeadBlock, end: boolean): void {
    try {
      const stream = this.streams.get(streamId);
      if (stream !== undefined) stream.receiveHeaders(block, end);
      else if (this.isIdle(streamId)) this.onOpened(streamId, block, end);
      else if (!this.#resets.isForgiven(streamId)) this.onReopened(streamId);
    } catch (thrown) {
      this.#failStream(streamId, thrown);
    }
  }

  onReset(streamId: number, code: number): void {
    if (this.isIdle(streamId)) throw new ConnectionError(errorCodes.protocol, "RST_STREAM on an idle stream");
    const stream = this.streams.get(streamId);
    if (stream === undefined) return;
    this.#resets.charge();
    stream.cut(code === errorCodes.refusedStream ? { how: "refused" } : { how: "reset", code });
  }

  onWindowUpdate(streamId: number, bytes: number): void {
    if (streamId === 0) {
      if (bytes === 0) throw new ConnectionError(errorCodes.protocol, "a WINDOW_UPDATE of 0");
      this.#sendWindow += bytes;
      if (this.#sendWindow > maxWindowBytes) throw new ConnectionError(errorCodes.flowControl, "a window over 2^31-1 bytes");
      this.#turns.go();
      return;
    }
    if (this.isIdle(streamId)) throw new ConnectionError(errorCodes.protocol, "WINDOW_UPDATE on an idle stream");
    try {
      this.streams.get(streamId)?.widen(bytes);
    } catch (thrown) {
      this.#failStream(streamId, thrown);
    }
  }

  onSetting(id: number, value: number): void {
    if (id === settingIds.headerTableSize) this.writer.encoder.setPeerTableBytes(value);
    else if (id === settingIds.initialWindowSize) this.#nextStreamWindow = value;
    else if (id === settingIds.enablePush && value > 1) throw new ConnectionError(errorCodes.protocol, "push is 0 or 1");
    else if (id === settingIds.maxFrameSize) {
      if (value < defaultMaxFrameBytes || value > maxFrameBytesBound) {
        throw new ConnectionError(errorCodes.protocol, "a largest frame outside of 16,384 to 2^24-1 bytes");
      }
      this.writer.maxFrameBytes = value;
    }
  }

  /** The acknowledgement goes before what the settings allow (RFC 9113, section 6.5.3). */
  onSettings(): void {
    this.writer.settingsAck();
    if (this.#nextStreamWindow !== this.peerStreamWindow) this.#resize(this.#nextStreamWindow);
  }

  onPing(data: Buffer, ack: boolean): void {
    if (ack) this.#pings.shift()?.();
    else this.writer.ping(data, true);
  }

  /** What comes on a stream that is over: late, if we have reset it; an error (section 5.1) if not. */
  #onClosedStream(streamId: number): void {
    if (this.isIdle(streamId)) throw new ConnectionError(errorCodes.protocol, "a frame on an idle stream");
    if (this.#resets.isForgiven(streamId)) return;
    this.#resets.charge();
    this.sendReset(streamId, errorCodes.streamClosed);
  }

  #failStream(streamId: number, thrown: unknown): void {
    if (!(thrown instanceof StreamError)) throw thrown;
    this.#resets.charge();
    this.sendReset(streamId, thrown.errorCode);
    this.streams.get(streamId)?.cut({ how: "reset", code: thrown.errorCode });
  }

  #resize(value: number): void {
    if (value > maxWindowBytes) throw new ConnectionError(errorCodes.flowControl, "a window over 2^31-1 bytes");
    const change = value - this.peerStreamWindow;
    this.peerStreamWindow = value;
    try {
      for (const stream of this.streams.values()) stream.resize(change);
    } catch {
      throw new ConnectionError(errorCodes.flowControl, "a window over 2^31-1 bytes"); // section 6.9.2
    }
    if (change > 0) for (const stream of [...this.streams.values()]) stream.goOn();
  }

  /** Half a window at a time, so that few frames are spent on it; nothing while too much is held up. */
  #returnWindow(): void {
    const { connectionWindowBytes, maxHeldBytes } = this.#bounds;
    if (!this.open || this.#unreturned * 2 < connectionWindowBytes || this.#held > maxHeldBytes) return;
    this.#receiveWindow += this.#unreturned;
    this.writer.windowUpdate(0, this.#unreturned);
    this.#unreturned = 0;
  }
}

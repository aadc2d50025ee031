import { wireBounds } from "../../core/index.ts";
import { type FrameHeader, FrameReader, type FrameSink, unpad } from "./frame-reader.ts";
import { ConnectionError, errorCodes, frameFlags, frameTypes, maxWindowBytes } from "./frames.ts";
import type { HeadBlock, RequestHead, ResponseHead } from "./heads.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { HpackError } from "./hpack-error.ts";

/** Takes what the peer says, its form checked. A stream id is above 0 where there is one. */
export interface PeerSink {
  readonly open: boolean;
  /** Bytes of a stream's body; `overhead` counts for flow control too. */
  onData(streamId: number, bytes: Buffer, overhead: number): void;
  onDataEnd(streamId: number): void;
  onHeaders(streamId: number, block: HeadBlock, end: boolean): void;
  onReset(streamId: number, code: number): void;
  /** `streamId` 0 is the connection's own window. */
  onWindowUpdate(streamId: number, bytes: number): void;
  onSetting(id: number, value: number): void;
  /** All settings of a frame have been given. */
  onSettings(): void;
  onPing(data: Buffer, ack: boolean): void;
  onGoAway(lastStreamId: number, code: number): void;
}

export interface IncomingBounds {
  readonly maxHeaderBytes: number;
  readonly maxHeaderPairs: number;
}

/** RFC 9113, section 6.5.2: each line counts for so much more than its bytes. */
const lineOverheadBytes = 32;
const tableBytes = 4_096;

const onStreams: ReadonlySet<number> = new Set([
  frameTypes.headers,
  frameTypes.priority,
  frameTypes.resetStream,
  frameTypes.continuation,
]);
const onConnection: ReadonlySet<number> = new Set([frameTypes.settings, frameTypes.ping, frameTypes.goAway]);
const sizes: ReadonlyMap<number, number> = new Map([
  [frameTypes.priority, 5],
  [frameTypes.resetStream, 4],
  [frameTypes.ping, 8],
  [frameTypes.windowUpdate, 4],
]);

/** Reads what the peer sends, and checks what can be checked without knowing the streams (RFC 9113, sections 4 and 6). */
export class Incoming implements FrameSink {
  readonly #sink: PeerSink;
  readonly #reader = new FrameReader(this);
  readonly #decoder: HpackDecoder<RequestHead | ResponseHead>;
  readonly #maxBlockBytes: number;
  #sawSettings = false;
  /** The header block that CONTINUATION frames go on with. */
  #block: { readonly streamId: number; readonly end: boolean; readonly pieces: Buffer[]; bytes: number } | undefined;

  constructor(sink: PeerSink, { maxHeaderBytes, maxHeaderPairs }: IncomingBounds) {
    this.#sink = sink;
    const maxListBytes = maxHeaderBytes + maxHeaderPairs * lineOverheadBytes;
    this.#decoder = new HpackDecoder({ maxTableBytes: tableBytes, maxListBytes, maxPairs: maxHeaderPairs });
    this.#maxBlockBytes = wireBounds.headerBlockFactor * maxListBytes;
  }

  get open(): boolean {
    return this.#sink.open;
  }

  /** @throws ConnectionError for what breaks the rules. */
  push(bytes: Buffer): void {
    this.#reader.push(bytes);
  }

  data(streamId: number, bytes: Buffer, overhead: number): void {
    this.#expect(frameTypes.data, streamId);
    if (streamId === 0) throw new ConnectionError(errorCodes.protocol, "DATA on stream 0");
    this.#sink.onData(streamId, bytes, overhead);
  }

  dataEnd(streamId: number): void {
    this.#sink.onDataEnd(streamId);
  }

  frame(header: FrameHeader, bytes: Buffer, start: number): void {
    const { type, streamId, length } = header;
    this.#expect(type, streamId);
    if (streamId === 0 && onStreams.has(type)) throw new ConnectionError(errorCodes.protocol, "a stream's frame on stream 0");
    if (streamId !== 0 && onConnection.has(type))
      throw new ConnectionError(errorCodes.protocol, "a connection's frame on a stream");
    const size = sizes.get(type);
    if (size !== undefined && length !== size) throw new ConnectionError(errorCodes.frameSize, "a frame of the wrong size");
    if (type === frameTypes.headers) this.#headers(header, bytes, start);
    else if (type === frameTypes.windowUpdate) this.#sink.onWindowUpdate(streamId, bytes.readUInt32BE(start) & maxWindowBytes);
    else if (type === frameTypes.resetStream) this.#sink.onReset(streamId, bytes.readUInt32BE(start));
    else if (type === frameTypes.ping) this.#sink.onPing(bytes.subarray(start, start + length), isAck(header));
    else if (type === frameTypes.settings) this.#settings(header, bytes, start);
    else if (type === frameTypes.goAway) this.#goAway(length, bytes, start);
    else if (type === frameTypes.continuation) this.#continuation(header, bytes, start);
    else if (type === frameTypes.pushPromise) throw new ConnectionError(errorCodes.protocol, "a push that nobody allowed");
    // PRIORITY means nothing any more (section 5.3.2), and types that nobody knows are to be ignored (section 5.5).
  }

  /** The first frame is SETTINGS (section 3.4), and nothing comes into the middle of a header block (section 6.10). */
  #expect(type: number, streamId: number): void {
    if (!this.#sawSettings && type !== frameTypes.settings) {
      throw new ConnectionError(errorCodes.protocol, "the first frame has to be SETTINGS");
    }
    const continues = type === frameTypes.continuation && streamId === this.#block?.streamId;
    if (this.#block !== undefined ? !continues : type === frameTypes.continuation) {
      throw new ConnectionError(errorCodes.protocol, "a header block and its CONTINUATION frames belong together");
    }
  }

  #headers(header: FrameHeader, bytes: Buffer, start: number): void {
    const { flags, streamId } = header;
    const [padded, to] = unpad(header, bytes, start);
    const from = (flags & frameFlags.priority) === 0 ? padded : padded + 5;
    if (from > to) throw new ConnectionError(errorCodes.frameSize, "a frame is too short for its priority");
    const end = (flags & frameFlags.endStream) !== 0;
    if ((flags & frameFlags.endHeaders) !== 0) this.#sink.onHeaders(streamId, this.#decode(bytes, from, to), end);
    else this.#block = { streamId, end, pieces: [bytes.subarray(from, to)], bytes: to - from };
  }

  /** Each frame counts, so that empty ones come to an end too (CVE-2024-27316). */
  #continuation({ flags, streamId, length }: FrameHeader, bytes: Buffer, start: number): void {
    const block = this.#block;
    if (block === undefined) return;
    block.bytes += 1 + length;
    if (block.bytes > this.#maxBlockBytes)
      throw new ConnectionError(errorCodes.enhanceYourCalm, "a header block without an end");
    if (length > 0) block.pieces.push(bytes.subarray(start, start + length));
    if ((flags & frameFlags.endHeaders) === 0) return;
    this.#block = undefined;
    const whole = Buffer.concat(block.pieces);
    this.#sink.onHeaders(streamId, this.#decode(whole, 0, whole.length), block.end);
  }

  #decode(bytes: Buffer, start: number, end: number): HeadBlock {
    try {
      return this.#decoder.decode(bytes, start, end);
    } catch (thrown) {
      if (thrown instanceof HpackError) throw new ConnectionError(errorCodes.compression, thrown.message);
      throw thrown;
    }
  }

  #settings(header: FrameHeader, bytes: Buffer, start: number): void {
    const { length } = header;
    if (isAck(header)) {
      if (length > 0) throw new ConnectionError(errorCodes.frameSize, "an acknowledgement of settings with settings");
      if (!this.#sawSettings) throw new ConnectionError(errorCodes.protocol, "the first SETTINGS has to be the peer's own");
      return;
    }
    this.#sawSettings = true;
    if (length % 6 !== 0) throw new ConnectionError(errorCodes.frameSize, "settings of the wrong size");
    for (let at = start; at < start + length; at += 6) this.#sink.onSetting(bytes.readUInt16BE(at), bytes.readUInt32BE(at + 2));
    this.#sink.onSettings();
  }

  #goAway(length: number, bytes: Buffer, start: number): void {
    if (length < 8) throw new ConnectionError(errorCodes.frameSize, "a GOAWAY of the wrong size");
    this.#sink.onGoAway(bytes.readUInt32BE(start) & maxWindowBytes, bytes.readUInt32BE(start + 4));
  }
}

function isAck({ flags }: FrameHeader): boolean {
  return (flags & frameFlags.ack) !== 0;
}

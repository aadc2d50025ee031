import { ConnectionError, defaultMaxFrameBytes, errorCodes, frameFlags, frameHeaderBytes, frameTypes } from "./frames.ts";

/** What stands before a frame's payload. The reader uses one object for all frames. */
export interface FrameHeader {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  /** Bytes of the payload. */
  readonly length: number;
}

/** Takes what a {@link FrameReader} has found. What it throws leaves the reader as it is, good for nothing more. */
export interface FrameSink {
  /** Bytes of a DATA frame, as they come. `overhead` is what counts for flow control beside them: padding and its length. */
  data(streamId: number, bytes: Buffer, overhead: number): void;
  /** The last bytes of a DATA frame with END_STREAM have been given. */
  dataEnd(streamId: number): void;
  /** Any other frame, whole: `header.length` bytes from `start` on. */
  frame(header: FrameHeader, bytes: Buffer, start: number): void;
  /** False ends the reading. */
  readonly open: boolean;
}

const none = Buffer.alloc(0);

/**
 * Cuts a stream of bytes into frames (RFC 9113, section 4.1), however they are split. DATA is handed on as it comes, all else when it
 * is whole; nothing that lies in one piece is copied. Holds at most one frame.
 */
export class FrameReader implements FrameHeader {
  type = 0;
  flags = 0;
  streamId = 0;
  length = 0;
  readonly #sink: FrameSink;
  /** Bytes of a DATA frame that have not come. */
  #dataLeft = 0;
  /** A frame, or the header of one, whose rest has not come. */
  #partial: Buffer = none;
  #filled = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** @throws ConnectionError for a frame that is too long, and what the sink throws. */
  push(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length && this.#sink.open) {
      if (this.#dataLeft > 0) at = this.#readData(bytes, at);
      else if (this.#filled > 0) at = this.#complete(bytes, at);
      else at = this.#readFrame(bytes, at);
    }
  }

  #readFrame(bytes: Buffer, at: number): number {
    const left = bytes.length - at;
    if (left < frameHeaderBytes) return this.#keep(bytes, at, frameHeaderBytes);
    this.#readHeader(bytes, at);
    if (this.#startsData()) return at + frameHeaderBytes;
    const whole = frameHeaderBytes + this.length;
    if (left < whole) return this.#keep(bytes, at, whole);
    this.#deliver(bytes, at + frameHeaderBytes);
    return at + whole;
  }

  #readHeader(bytes: Buffer, at: number): void {
    // within bounds: the caller has looked
    this.length = ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number); // within bounds
    this.type = bytes[at + 3] as number; // within bounds
    this.flags = bytes[at + 4] as number; // within bounds
    this.streamId = bytes.readUInt32BE(at + 5) & 0x7fff_ffff; // the first bit is reserved
    if (this.length > defaultMaxFrameBytes) {
      throw new ConnectionError(
        errorCodes.frameSize,
        `a frame has ${this.length} bytes; at most ${defaultMaxFrameBytes} are allowed`,
      );
    }
  }

  /** Padded DATA is read whole, like any other frame. */
  #startsData(): boolean {
    if (this.type !== frameTypes.data || (this.flags & frameFlags.padded) !== 0) return false;
    this.#dataLeft = this.length;
    if (this.length === 0) {
      this.#sink.data(this.streamId, none, 0);
      this.#endData();
    }
    return true;
  }

  #readData(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#dataLeft);
    this.#dataLeft -= end - at;
    this.#sink.data(this.streamId, bytes.subarray(at, end), 0);
    if (this.#dataLeft === 0) this.#endData();
    return end;
  }

  #endData(): void {
    if ((this.flags & frameFlags.endStream) !== 0) this.#sink.dataEnd(this.streamId);
  }

  #keep(bytes: Buffer, at: number, size: number): number {
    this.#partial = Buffer.allocUnsafe(size);
    this.#filled = bytes.copy(this.#partial, 0, at);
    return bytes.length;
  }

  /** Goes on with a frame, or the header of one, that began in an earlier piece. */
  #complete(bytes: Buffer, at: number): number {
    const partial = this.#partial;
    const copied = bytes.copy(partial, this.#filled, at, at + partial.length - this.#filled);
    this.#filled += copied;
    if (this.#filled < partial.length) return at + copied;
    if (partial.length > frameHeaderBytes) {
      this.#forget();
      this.#deliver(partial, frameHeaderBytes);
      return at + copied;
    }
    this.#readHeader(partial, 0);
    if (this.#startsData()) this.#forget();
    else if (this.length === 0) {
      this.#forget();
      this.#deliver(partial, frameHeaderBytes);
    } else {
      this.#partial = Buffer.allocUnsafe(frameHeaderBytes + this.length);
      partial.copy(this.#partial);
    }
    return at + copied;
  }

  #forget(): void {
    this.#partial = none;
    this.#filled = 0;
  }

  #deliver(bytes: Buffer, start: number): void {
    if (this.type !== frameTypes.data) {
      this.#sink.frame(this, bytes, start);
      return;
    }
    const [from, end] = unpad(this, bytes, start);
    this.#sink.data(this.streamId, bytes.subarray(from, end), this.length - (end - from));
    this.#endData();
  }
}

/** Where the content of a frame that may be padded begins and ends (section 6.1). */
export function unpad({ flags, length }: FrameHeader, bytes: Buffer, start: number): [from: number, end: number] {
  if ((flags & frameFlags.padded) === 0) return [start, start + length];
  if (length === 0) throw new ConnectionError(errorCodes.frameSize, "a padded frame has no room for the length of its padding");
  const padding = bytes[start] ?? 0;
  if (padding >= length) throw new ConnectionError(errorCodes.protocol, "a frame's padding is longer than the frame");
  return [start + 1, start + length - padding];
}

import type { HeaderList } from "../exchange.ts";
import { defaultMaxFrameBytes, type ErrorCode, frameFlags, frameHeaderBytes, frameTypes } from "./frames.ts";
import { HpackEncoder } from "./hpack-encoder.ts";
import { Output, type Pipe, writeFrameHeader } from "./output.ts";

/** A frame's type and flags, as they stand side by side in its header. */
const kinds = {
  data: frameTypes.data << 8,
  dataEnd: (frameTypes.data << 8) | frameFlags.endStream,
  headers: frameTypes.headers << 8,
  resetStream: frameTypes.resetStream << 8,
  settings: frameTypes.settings << 8,
  settingsAck: (frameTypes.settings << 8) | frameFlags.ack,
  ping: frameTypes.ping << 8,
  pingAck: (frameTypes.ping << 8) | frameFlags.ack,
  goAway: frameTypes.goAway << 8,
  windowUpdate: frameTypes.windowUpdate << 8,
  continuation: frameTypes.continuation << 8,
};

/** Writes frames. Each goes out whole, and in the order of the calls. */
export class FrameWriter {
  readonly output: Output;
  readonly encoder = new HpackEncoder();
  /** The longest frame that the peer takes. */
  maxFrameBytes = defaultMaxFrameBytes;
  /** Bytes of the header block that is being written. */
  #blockBytes = 0;

  constructor(pipe: Pipe) {
    this.output = new Output(pipe);
  }

  /** DATA, in as many frames as it needs. Counting windows is the caller's. */
  data(streamId: number, bytes: Uint8Array, end: boolean): void {
    const { maxFrameBytes } = this;
    let at = 0;
    for (; bytes.length - at > maxFrameBytes; at += maxFrameBytes) {
      this.output.payload(kinds.data, streamId, bytes.subarray(at, at + maxFrameBytes));
    }
    this.output.payload(end ? kinds.dataEnd : kinds.data, streamId, at === 0 ? bytes : bytes.subarray(at));
  }

  /** Starts a header block; {@link fields} follow, and {@link endHeaders}, and nothing else between. */
  beginHeaders(streamId: number): void {
    const slab = this.output.room(frameHeaderBytes);
    writeFrameHeader(slab, 0, kinds.headers);
    slab.bytes.writeUInt32BE(streamId, slab.at - 4);
    this.#blockBytes = 0;
  }

  /** Adds fields to the block. @throws TypeError for one that HTTP/2 does not carry; the block is then as it was. */
  fields(list: HeaderList): void {
    const { encoder, output } = this;
    const slab = output.room(encoder.bound(list), frameHeaderBytes + this.#blockBytes);
    const end = encoder.encode(list, slab.bytes, slab.at);
    this.#blockBytes += end - slab.at;
    slab.at = end;
  }

  endHeaders(endStream: boolean): void {
    const length = this.#blockBytes;
    if (length > this.maxFrameBytes) {
      this.#split(endStream);
      return;
    }
    const { bytes, at } = this.output.room(0);
    const start = at - length - frameHeaderBytes;
    bytes[start] = length >>> 16;
    bytes[start + 1] = length >>> 8;
    bytes[start + 2] = length;
    bytes[start + 4] = endStream ? frameFlags.endHeaders | frameFlags.endStream : frameFlags.endHeaders;
  }

  /**
   * Gives a block up of which {@link fields} threw. What is in it of earlier lists has to go out, since it may have changed the
   * table that both sides keep.
   */
  dropHeaders(): void {
    if (this.#blockBytes > 0) this.endHeaders(false);
    else this.output.room(0).at -= frameHeaderBytes;
  }

  /** A block that is longer than a frame goes on in CONTINUATION frames (RFC 9113, section 6.10). */
  #split(endStream: boolean): void {
    const slab = this.output.room(0);
    const start = slab.at - this.#blockBytes;
    const block = Buffer.from(slab.bytes.subarray(start, slab.at));
    slab.at = start - frameHeaderBytes;
    const streamId = slab.bytes.readUInt32BE(start - 4);
    for (let at = 0; at < block.length; at += this.maxFrameBytes) {
      const last = at + this.maxFrameBytes >= block.length;
      const kind = at === 0 ? kinds.headers | (endStream ? frameFlags.endStream : 0) : kinds.continuation;
      this.output.payload(kind | (last ? frameFlags.endHeaders : 0), streamId, block.subarray(at, at + this.maxFrameBytes));
    }
  }

  resetStream(streamId: number, code: ErrorCode): void {
    this.#number(kinds.resetStream, streamId, code);
  }

  windowUpdate(streamId: number, bytes: number): void {
    this.#number(kinds.windowUpdate, streamId, bytes);
  }

  /** @param settings ids and values. */
  settings(settings: readonly (readonly [id: number, value: number])[]): void {
    const slab = this.output.frame(settings.length * 6, kinds.settings, 0);
    for (const [id, value] of settings) {
      slab.at = slab.bytes.writeUInt16BE(id, slab.at);
      slab.at = slab.bytes.writeUInt32BE(value, slab.at);
    }
  }

  settingsAck(): void {
    this.output.frame(0, kinds.settingsAck, 0);
  }

  /** @param data eight bytes. */
  ping(data: Uint8Array, ack: boolean): void {
    this.output.payload(ack ? kinds.pingAck : kinds.ping, 0, data);
  }

  goAway(lastStreamId: number, code: ErrorCode, message: string): void {
    const slab = this.output.frame(8 + message.length, kinds.goAway, 0);
    slab.at = slab.bytes.writeUInt32BE(lastStreamId, slab.at);
    slab.at = slab.bytes.writeUInt32BE(code, slab.at);
    slab.at += slab.bytes.write(message, slab.at, "latin1");
  }

  #number(kind: number, streamId: number, value: number): void {
    const slab = this.output.frame(4, kind, streamId);
    slab.at = slab.bytes.writeUInt32BE(value, slab.at);
  }
}

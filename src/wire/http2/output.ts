import { wireBounds } from "../../core/index.ts";
import { frameHeaderBytes } from "./frames.ts";

/** The connection below: a socket, or what a test puts in its place. */
export interface Pipe {
  /** Sends the pieces, which must not change any more. False: {@link Connection.drained} will tell when there is room. */
  write(pieces: readonly Uint8Array[]): boolean;
  /** Lets the peer wait. */
  pause(): void;
  resume(): void;
  /** Closes when what was written is sent. */
  end(): void;
  /** Closes now. */
  destroy(): void;
}

const slabBytes = 64 * 1024;
/** What is left of a slab is used on when it is at least this. */
const minSpareBytes = 1024;
/** Longer pieces are not copied into a slab. */
const maxCopiedBytes = 8 * 1024;

/** Memory that frames are written into. No part of it is used twice. */
export interface Slab {
  readonly bytes: Buffer;
  at: number;
}

/** What the last connection to write has left, for the next one: an idle connection holds none. */
let spare: Slab | undefined;

function takeSlab(minBytes: number): Slab {
  const slab = spare;
  if (slab !== undefined && slab.bytes.length - slab.at >= minBytes) {
    spare = undefined;
    return slab;
  }
  return { bytes: Buffer.allocUnsafeSlow(Math.max(slabBytes, minBytes)), at: 0 };
}

function leaveSlab(slab: Slab): void {
  if (slab.bytes.length - slab.at >= minSpareBytes) spare = slab;
}

/**
 * Collects what a connection writes, so that the frames of one tick leave in one write: of everything that a read from the socket
 * brought about, promises included.
 */
export class Output {
  /** True while the pipe has no room. Frames that cannot wait are collected all the same. */
  blocked = false;
  readonly #pipe: Pipe;
  #slab: Slab | undefined;
  /** Where in the slab begins what has not been handed on. */
  #from = 0;
  #pieces: Uint8Array[] = [];
  #pieceBytes = 0;
  #scheduled = false;
  readonly #flush = () => this.flush();
  readonly #flushLater = () => process.nextTick(this.#flush);

  constructor(pipe: Pipe) {
    this.#pipe = pipe;
  }

  /** Bytes that have not been handed to the pipe. */
  get pendingBytes(): number {
    return this.#pieceBytes + (this.#slab === undefined ? 0 : this.#slab.at - this.#from);
  }

  /** Memory with room for `size` bytes; the caller moves `at` on. The last `keepBytes` bytes stay together with what follows. */
  room(size: number, keepBytes = 0): Slab {
    if (!this.#scheduled) this.#schedule();
    const slab = this.#slab;
    if (slab !== undefined && slab.bytes.length - slab.at >= size) return slab;
    const kept = slab?.bytes.subarray(slab.at - keepBytes, slab.at);
    if (slab !== undefined) slab.at -= keepBytes;
    this.#cut();
    const next = takeSlab(keepBytes + size);
    this.#slab = next;
    this.#from = next.at;
    if (kept !== undefined) next.bytes.set(kept, next.at);
    next.at += keepBytes;
    return next;
  }

  /** Starts a frame of which `room` bytes will follow at once. `kind` is its type and its flags. */
  frame(length: number, kind: number, streamId: number): Slab {
    const inSlab = length <= maxCopiedBytes ? length : 0;
    const slab = this.room(frameHeaderBytes + inSlab);
    writeFrameHeader(slab, length, kind);
    slab.bytes.writeUInt32BE(streamId, slab.at - 4);
    return slab;
  }

  /** A frame of bytes, which are not copied when they are long. */
  payload(kind: number, streamId: number, bytes: Uint8Array): void {
    const slab = this.frame(bytes.length, kind, streamId);
    if (bytes.length <= maxCopiedBytes) {
      slab.bytes.set(bytes, slab.at);
      slab.at += bytes.length;
    } else {
      this.#cut();
      this.#pieces.push(bytes);
      this.#pieceBytes += bytes.length;
    }
    if (this.pendingBytes >= wireBounds.flushBytes) this.flush();
  }

  /** Bytes that are no frame. */
  raw(bytes: Uint8Array): void {
    const slab = this.room(bytes.length);
    slab.bytes.set(bytes, slab.at);
    slab.at += bytes.length;
  }

  /** Hands everything to the pipe, if it has room, or with `last` even if not. */
  flush(last = false): void {
    this.#scheduled = false;
    if (this.blocked && !last) return;
    this.#cut();
    if (this.#slab !== undefined) leaveSlab(this.#slab);
    this.#slab = undefined;
    const pieces = this.#pieces;
    if (pieces.length === 0) return;
    this.#pieces = [];
    this.#pieceBytes = 0;
    if (!this.#pipe.write(pieces)) this.blocked = true;
  }

  /** The pipe has room again. */
  drained(): void {
    this.blocked = false;
    this.flush();
  }

  /** What is in the slab becomes a piece of its own. */
  #cut(): void {
    const slab = this.#slab;
    if (slab === undefined || slab.at === this.#from) return;
    this.#pieces.push(slab.bytes.subarray(this.#from, slab.at));
    this.#pieceBytes += slab.at - this.#from;
    this.#from = slab.at;
  }

  /** `process.nextTick` from a promise callback runs when all promise callbacks have run. */
  #schedule(): void {
    this.#scheduled = true;
    queueMicrotask(this.#flushLater);
  }
}

/** Writes a frame's header, its stream id left open, and moves on. */
export function writeFrameHeader(slab: Slab, length: number, kind: number): void {
  const { bytes, at } = slab;
  bytes[at] = length >>> 16;
  bytes[at + 1] = length >>> 8;
  bytes[at + 2] = length;
  bytes[at + 3] = kind >>> 8;
  bytes[at + 4] = kind;
  slab.at = at + frameHeaderBytes;
}

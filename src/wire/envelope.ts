import { Code, ConnectError } from "@connectrpc/connect";

/** The bit of an envelope's flags that says its message is compressed: the same in gRPC, gRPC-Web and Connect streams. */
export const compressedFlag = 0b0000_0001;

/** Flags (one byte) and length (four, big-endian) before each message. */
export const prefixBytes = 5;

/** A message with its flags, as it travels. */
export interface Envelope {
  readonly flags: number;
  readonly payload: Uint8Array;
}

/** Takes what an {@link EnvelopeReader} has found. */
export interface EnvelopeSink {
  envelope(flags: number, payload: Uint8Array): void;
}

/**
 * Cuts a stream of bytes into envelopes, however they are split. A message that lies in one piece is not copied. Holds no more than
 * what has arrived of one message, so that a length alone costs nothing.
 */
export class EnvelopeReader {
  readonly #maxBytes: number;
  readonly #sink: EnvelopeSink;
  #prefixFilled = 0;
  #flags = 0;
  /** Bytes of the message that have not come. */
  #missing = 0;
  #pieces: Uint8Array[] | undefined;

  /** @param maxBytes the longest message allowed, on the wire. */
  constructor(maxBytes: number, sink: EnvelopeSink) {
    this.#maxBytes = maxBytes;
    this.#sink = sink;
  }

  /** True between the first and the last byte of an envelope. */
  get incomplete(): boolean {
    return this.#prefixFilled > 0;
  }

  /** @throws ConnectError RESOURCE_EXHAUSTED when a message is announced that is too long. */
  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#prefixFilled < prefixBytes) {
        at = this.#readPrefix(bytes, at);
        if (this.#prefixFilled < prefixBytes) return;
      }
      const end = at + this.#missing;
      if (end > bytes.length) {
        this.#pieces ??= [];
        this.#pieces.push(at === 0 ? bytes : bytes.subarray(at));
        this.#missing -= bytes.length - at;
        return;
      }
      this.#finish(bytes.subarray(at, end));
      at = end;
    }
  }

  #readPrefix(bytes: Uint8Array, start: number): number {
    let at = start;
    if (this.#prefixFilled === 0) {
      this.#flags = bytes[at++] ?? 0;
      this.#missing = 0;
      this.#prefixFilled = 1;
    }
    for (; this.#prefixFilled < prefixBytes && at < bytes.length; this.#prefixFilled++) {
      this.#missing = this.#missing * 256 + (bytes[at++] ?? 0);
    }
    if (this.#prefixFilled < prefixBytes) return at;
    if (this.#missing > this.#maxBytes) throw tooLong(this.#missing, this.#maxBytes);
    return at;
  }

  #finish(last: Uint8Array): void {
    const payload = this.#pieces === undefined ? last : Buffer.concat([...this.#pieces, last]);
    this.#pieces = undefined;
    this.#prefixFilled = 0;
    this.#sink.envelope(this.#flags, payload);
  }
}

/** Joins envelopes into the bytes that travel, in one copy. */
export function joinEnvelopes(envelopes: readonly Envelope[]): Buffer {
  let length = 0;
  for (const { payload } of envelopes) length += prefixBytes + payload.length;
  const joined = Buffer.allocUnsafe(length);
  let at = 0;
  for (const { flags, payload } of envelopes) {
    joined[at] = flags;
    joined.writeUInt32BE(payload.length, at + 1);
    joined.set(payload, at + prefixBytes);
    at += prefixBytes + payload.length;
  }
  return joined;
}

/** RESOURCE_EXHAUSTED without details: the conformance suite wants none here. */
export function tooLong(length: number | undefined, maxBytes: number): ConnectError {
  const size = length === undefined ? "" : ` of ${length} bytes`;
  return new ConnectError(`the message${size} is over the ${maxBytes} bytes allowed`, Code.ResourceExhausted);
}

/** A body that ended between the first and the last byte of an envelope. */
export function cutShort(): ConnectError {
  return new ConnectError("the stream ended in the middle of a message", Code.InvalidArgument);
}

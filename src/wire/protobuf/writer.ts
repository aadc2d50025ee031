import { varintBytes, writeVarint } from "../../core/index.ts";

/** As much as Node's own pool of buffers, so that a message that is kept keeps no more alive than any small buffer does. */
const slabBytes = 8 * 1024;
/** Up to this, a loop is faster than the call that V8 does not inline. */
const loopChars = 32;
/** Longer texts are measured before room is made for them; others are taken to need three bytes a character. */
const measuredChars = 1024;
const maxVarintBytes = 10;

/** Thrown at a value that is not what its field holds as a rule: protobuf-es knows what becomes of it. One for all: a stack would cost more than a message. */
export const notPlain = new Error("the value is left to protobuf-es");

const pair = new DataView(new ArrayBuffer(8));

/** Writes values in protobuf's binary form, one after another, into memory that the messages before have left. */
export class ProtobufWriter {
  #bytes = Buffer.allocUnsafeSlow(slabBytes);
  #start = 0;
  #at = 0;

  /** The message is whole. @returns its bytes, which nobody changes any more. */
  finish(): Uint8Array {
    const bytes = this.#bytes.subarray(this.#start, this.#at);
    if (this.#bytes.length === slabBytes) {
      this.#start = this.#at;
      return bytes;
    }
    const exact = Buffer.allocUnsafeSlow(bytes.length);
    exact.set(bytes);
    this.drop();
    return exact;
  }

  /** Forgets what was written of a message. */
  drop(): void {
    if (this.#bytes.length !== slabBytes) {
      this.#bytes = Buffer.allocUnsafeSlow(slabBytes);
      this.#start = 0;
    }
    this.#at = this.#start;
  }

  /** A tag, or a number up to 2³² - 1. */
  varint(value: number): void {
    this.#room(maxVarintBytes);
    if (value < 0x80) this.#bytes[this.#at++] = value;
    else this.#at = writeVarint(this.#bytes, this.#at, value);
  }

  /** A negative number has ten bytes, as if it had 64 bits. */
  int32(value: number): void {
    if (value < 0) this.varint64(value, -1);
    else this.varint(value);
  }

  varint64(low: number, high: number): void {
    this.#room(maxVarintBytes);
    const bytes = this.#bytes;
    let [at, lowBits, highBits] = [this.#at, low >>> 0, high >>> 0];
    while (highBits > 0 || lowBits > 0x7f) {
      bytes[at++] = (lowBits & 0x7f) | 0x80;
      lowBits = ((lowBits >>> 7) | (highBits << 25)) >>> 0;
      highBits >>>= 7;
    }
    bytes[at++] = lowBits;
    this.#at = at;
  }

  /** @param zigzag writes numbers near 0 short, below it too. */
  bigint(value: bigint, zigzag = false): void {
    pair.setBigInt64(0, value);
    const high = pair.getInt32(0);
    const low = pair.getInt32(4);
    const sign = high >> 31;
    if (zigzag) this.varint64((low << 1) ^ sign, ((high << 1) | (low >>> 31)) ^ sign);
    else this.varint64(low, high);
  }

  fixed32(value: number): void {
    this.#room(4);
    this.#at = this.#bytes.writeInt32LE(value | 0, this.#at);
  }

  fixed64(value: bigint): void {
    this.#room(8);
    this.#at = this.#bytes.writeBigInt64LE(BigInt.asIntN(64, value), this.#at);
  }

  float(value: number): void {
    this.#room(4);
    this.#at = this.#bytes.writeFloatLE(value, this.#at);
  }

  double(value: number): void {
    this.#room(8);
    this.#at = this.#bytes.writeDoubleLE(value, this.#at);
  }

  /** With its length before it. */
  byteString(value: Uint8Array): void {
    this.varint(value.length);
    this.#room(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }

  /** With its length before it. What is no UTF-16 becomes U+FFFD. */
  text(value: string): void {
    const { length } = value;
    this.#room(varintBytes(length * 3) + (length > measuredChars ? Buffer.byteLength(value) : length * 3));
    if (length <= loopChars && this.#shortText(value)) return;
    const bytes = this.#bytes;
    const guess = this.#at + varintBytes(length); // as if it were ASCII
    const written = bytes.write(value, guess);
    const from = this.#at + varintBytes(written);
    if (from !== guess) bytes.copyWithin(from, guess, guess + written);
    writeVarint(bytes, this.#at, written);
    this.#at = from + written;
  }

  /** False, and nothing is written, when it is not ASCII. */
  #shortText(value: string): boolean {
    const bytes = this.#bytes;
    let at = this.#at;
    bytes[at++] = value.length;
    for (let index = 0; index < value.length; index++) {
      const code = value.charCodeAt(index);
      if (code > 0x7f) return false;
      bytes[at++] = code;
    }
    this.#at = at;
    return true;
  }

  /** Begins what has its length before it. @returns what {@link close} is given. */
  open(): number {
    this.#room(maxVarintBytes);
    this.#at++;
    return this.#at - this.#start;
  }

  /** Its length is known now, and rarely more than the byte that was left for it. */
  close(opened: number): void {
    const from = this.#start + opened;
    const length = this.#at - from;
    const more = varintBytes(length) - 1;
    if (more > 0) {
      this.#room(more);
      this.#bytes.copyWithin(this.#start + opened + more, this.#start + opened, this.#at);
      this.#at += more;
    }
    writeVarint(this.#bytes, this.#start + opened - 1, length);
  }

  #room(size: number): void {
    if (this.#bytes.length - this.#at < size) this.#grow(size);
  }

  /** What is written of a message moves to where there is room for the rest. */
  #grow(size: number): void {
    const written = this.#at - this.#start;
    const wanted = written + size;
    const length = wanted <= slabBytes / 2 ? slabBytes : Math.max(2 * wanted, slabBytes + 1);
    const next = Buffer.allocUnsafeSlow(length);
    next.set(this.#bytes.subarray(this.#start, this.#at));
    this.#bytes = next;
    this.#start = 0;
    this.#at = written;
  }
}

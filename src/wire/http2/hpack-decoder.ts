import { HpackError } from "./hpack-error.ts";
import { BlockMemo } from "./hpack-memo.ts";
import { firstDynamicIndex, type HpackField, internName, staticFields } from "./hpack-static.ts";
import { HpackTable, sizeOf } from "./hpack-table.ts";
import { decodeHuffman } from "./huffman.ts";
import { readLatin1 } from "./latin1.ts";

/** One decoded header block. The same object comes again for a block that repeats, so it is shared: whoever gets it changes nothing. */
export interface HeaderBlock<Parsed = unknown> {
  /** Name and value by turns, one character a byte. Nothing is checked: names may hold upper case, values anything. */
  readonly list: readonly string[];
  /** Lines of all fields, those left out of the list too. */
  readonly pairs: number;
  /** Bytes of all fields, those left out of the list too, as SETTINGS_MAX_HEADER_LIST_SIZE counts (RFC 9113, section 6.5.2). */
  readonly bytes: number;
  /** There were more lines or bytes than allowed; the list holds only what came before. */
  readonly tooLarge: boolean;
  /** What the user made of the list, kept here for when the block repeats. */
  parsed: Parsed | undefined;
}

export interface HpackDecoderOptions {
  /** The SETTINGS_HEADER_TABLE_SIZE that the peer has been told; 4,096 when it has not (RFC 9113, section 6.5.2). */
  readonly maxTableBytes: number;
  /** Most bytes of a list, counted as in {@link HeaderBlock.bytes}. */
  readonly maxListBytes: number;
  /** Most lines of a list. */
  readonly maxPairs: number;
}

/** RFC 7541, section 5.1, asks for limits: five bytes after the first hold every integer up to this and more. */
const maxContinuationBytes = 5;
const maxInteger = 2 ** 31;

const nothing = Buffer.alloc(0);

/** Decodes the header blocks of one direction of a connection (RFC 7541), each whole and in the order of their arrival. */
export class HpackDecoder<Parsed = unknown> {
  readonly #maxTableBytes: number;
  readonly #maxListBytes: number;
  readonly #maxPairs: number;
  readonly #table: HpackTable<HpackField>;
  readonly #memo = new BlockMemo<HeaderBlock<Parsed>>();
  /** The state of the table that the memo is about. */
  #memoChanges = 0;
  #bytes: Buffer = nothing;
  #at = 0;
  #end = 0;
  /** The block has had nothing but indexes so far. */
  #indexesOnly = true;

  constructor({ maxTableBytes, maxListBytes, maxPairs }: HpackDecoderOptions) {
    this.#maxTableBytes = maxTableBytes;
    this.#maxListBytes = maxListBytes;
    this.#maxPairs = maxPairs;
    this.#table = new HpackTable(maxTableBytes);
  }

  /**
   * Decodes the block between `start` and `end`. A block that left the table as it was and comes again, byte for byte, before the
   * table changes, gives the same object again.
   *
   * @throws HpackError when the block breaks RFC 7541: a connection error of type COMPRESSION_ERROR (RFC 9113, section 4.3). The
   * decoder cannot be used any more.
   */
  decode(bytes: Buffer, start: number, end: number): HeaderBlock<Parsed> {
    const { changes } = this.#table;
    if (this.#memoChanges !== changes) {
      this.#memo.clear();
      this.#memoChanges = changes;
    }
    const known = this.#memo.find(bytes, start, end);
    if (known !== undefined) return known;
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#indexesOnly = true;
    this.#readSizeUpdates();
    const block = this.#readFields();
    // Kept no longer than needed: the buffer is a slice of what the socket gave.
    this.#bytes = nothing;
    // Literals may be new every time, so they are kept once they have repeated. A list over the bounds is no hot path but an attack.
    if (this.#table.changes === changes && (this.#indexesOnly || this.#memo.again) && !block.tooLarge) {
      this.#memo.keep(bytes.subarray(start, end), block);
    }
    return block;
  }

  /** RFC 7541, section 4.2: they stand at the beginning of a block, if anywhere. */
  #readSizeUpdates(): void {
    while (this.#at < this.#end) {
      const first = this.#bytes[this.#at] ?? 0;
      if (first >> 5 !== 0b001) return;
      this.#at++;
      const maxBytes = this.#readInteger(first & 0x1f, 0x1f);
      if (maxBytes > this.#maxTableBytes) throw new HpackError("a dynamic table size over the one allowed");
      this.#table.resize(maxBytes);
    }
  }

  #readFields(): HeaderBlock<Parsed> {
    const list: string[] = [];
    let pairs = 0;
    let bytes = 0;
    let tooLarge = false;
    while (this.#at < this.#end) {
      const first = this.#bytes[this.#at++] ?? 0;
      const field = first & 0x80 ? this.#fieldAt(this.#readInteger(first & 0x7f, 0x7f)) : this.#readLiteral(first);
      pairs++;
      bytes += sizeOf(field.name, field.value);
      if (bytes > this.#maxListBytes || pairs > this.#maxPairs) tooLarge = true;
      if (!tooLarge) list.push(field.name, field.value);
    }
    return { list, pairs, bytes, tooLarge, parsed: undefined };
  }

  /** RFC 7541, section 6.2. */
  #readLiteral(first: number): HpackField {
    this.#indexesOnly = false;
    const indexed = (first & 0x40) !== 0;
    if (!indexed && (first & 0x20) !== 0) throw new HpackError("a dynamic table size update after a field");
    const mask = indexed ? 0x3f : 0x0f;
    const index = this.#readInteger(first & mask, mask);
    const name = index === 0 ? internName(this.#readString()) : this.#fieldAt(index).name;
    const field = { name, value: this.#readString() };
    if (indexed) this.#table.insert(field);
    return field;
  }

  #fieldAt(index: number): HpackField {
    const field = index < firstDynamicIndex ? staticFields[index - 1] : this.#table.at(index - firstDynamicIndex);
    if (field === undefined) throw new HpackError(`the index ${index} stands for no field`);
    return field;
  }

  /** RFC 7541, section 5.2. */
  #readString(): string {
    const first = this.#readByte();
    const length = this.#readInteger(first & 0x7f, 0x7f);
    const start = this.#at;
    const end = start + length;
    if (end > this.#end) throw cutShort();
    this.#at = end;
    return first & 0x80 ? decodeHuffman(this.#bytes, start, end) : readLatin1(this.#bytes, start, end);
  }

  /** RFC 7541, section 5.1: the prefix, whose bits are all set in `full`, and what may come after it. */
  #readInteger(prefix: number, full: number): number {
    if (prefix < full) return prefix;
    let value = full;
    for (let count = 0, factor = 1; count < maxContinuationBytes; count++, factor *= 128) {
      const byte = this.#readByte();
      // Factors, not shifts: the fifth byte's bits are beyond the 32nd.
      value += (byte & 0x7f) * factor;
      if (value > maxInteger) break;
      if (byte < 0x80) return value;
    }
    throw new HpackError("an integer beyond all bounds");
  }

  #readByte(): number {
    if (this.#at >= this.#end) throw cutShort();
    return this.#bytes[this.#at++] ?? 0;
  }
}

function cutShort(): HpackError {
  return new HpackError("a header block ends in the middle of a field");
}

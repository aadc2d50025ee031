import { type NameRecord, NameRecords } from "./hpack-names.ts";
import { firstDynamicIndex, type HpackField } from "./hpack-static.ts";
import { HpackTable, sizeOf } from "./hpack-table.ts";
import { writeLatin1 } from "./latin1.ts";

interface EncoderEntry extends HpackField {
  readonly record: NameRecord;
}

/** What the table may hold before the peer has said anything (RFC 9113, section 6.5.2), and all that this encoder wants. */
const defaultTableBytes = 4096;
/** Longer values are neither remembered nor indexed: one of them would push much out of the table. */
const maxIndexedLength = 1024;
/** An integer takes a byte and, with 32 bits, five more (RFC 7541, section 5.1). */
const maxIntegerBytes = 6;
/** Lists whose blocks are remembered, and how long those may be. */
const maxRemembered = 64;
const maxRememberedBytes = 256;

/** RFC 9113, section 8.2.1; beyond U+00FF there is no byte for it. */
const invalidInValue = /[\0\r\n\u0100-\uffff]/;

const nothing = Buffer.alloc(0);

/** Encodes the header blocks of one direction of a connection (RFC 7541), to be sent in the order in which they were encoded. */
export class HpackEncoder {
  readonly #maxTableBytes: number;
  readonly #table: HpackTable<EncoderEntry>;
  readonly #names = new NameRecords();
  /** Entries inserted so far: an entry's ordinal is how many came before it. */
  #inserted = 0;
  /** The smallest and the last of the sizes that are to be announced. */
  #pending: { smallest: number; last: number } | undefined;
  /** Records of the list's names, field by field. */
  readonly #records: NameRecord[] = [];
  #into: Buffer = nothing;
  #at = 0;
  readonly #remembered = new Map<readonly string[], Uint8Array>();
  /** The state of the table that the remembered blocks are for. */
  #rememberedChanges = 0;

  /** @param maxTableBytes the most that the dynamic table may take, whatever more the peer allows. */
  constructor(maxTableBytes = defaultTableBytes) {
    this.#maxTableBytes = maxTableBytes;
    this.#table = new HpackTable(defaultTableBytes, ({ record, value }) => {
      record.ordinals.delete(value);
    });
    this.setPeerTableBytes(defaultTableBytes);
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. A change is announced at the start of the next block (RFC 7541, section 4.2). */
  setPeerTableBytes(bytes: number): void {
    const last = Math.min(bytes, this.#maxTableBytes);
    if (this.#pending === undefined && last === this.#table.maxBytes) return;
    this.#pending = { smallest: Math.min(last, this.#pending?.smallest ?? last), last };
  }

  /** Upper bound in bytes of the encoded form of a list. */
  bound(list: readonly string[]): number {
    // The announcements of two sizes; then for each field the representation's first integer and two lengths.
    let bytes = 2 * maxIntegerBytes;
    for (let index = 0; index < list.length; index += 2) {
      bytes += 3 * maxIntegerBytes + (list[index] ?? "").length + (list[index + 1] ?? "").length;
    }
    return bytes;
  }

  /**
   * Writes the block of a list, name and value by turns, for which there must be room. A frozen list says that it will be sent again:
   * the encoder keeps it, and its block for as long as the table allows, so freeze none that is sent once.
   *
   * @returns the offset after the block.
   * @throws TypeError when a name is no lower-case token or a value holds NUL, CR, LF or characters beyond U+00FF (RFC 9113, section
   * 8.2.1). Nothing has been written then, and the next list can be encoded.
   */
  encode(list: readonly string[], into: Buffer, at: number): number {
    if (this.#pending === undefined && this.#rememberedChanges === this.#table.changes) {
      const block = this.#remembered.get(list);
      if (block !== undefined) return copy(block, into, at);
    }
    // Everything that may throw comes before the first change: the table must stay what the peer believes it to be.
    this.check(list);
    this.#into = into;
    this.#at = at;
    this.#announce();
    const { changes } = this.#table;
    let settled = true;
    for (let index = 0; index < list.length; index += 2) {
      const record = this.#records[index >> 1];
      if (record !== undefined && !this.#writeField(record, list[index + 1] ?? "")) settled = false;
    }
    // The buffer is the caller's.
    this.#into = nothing;
    if (settled && this.#table.changes === changes && Object.isFrozen(list)) this.#remember(list, into.subarray(at, this.#at));
    return this.#at;
  }

  /** @throws TypeError for a list that {@link encode} would not take. */
  check(list: readonly string[]): void {
    for (let index = 0; index < list.length; index += 2) {
      const record = this.#names.get(list[index] ?? "");
      this.#records[index >> 1] = record;
      const value = list[index + 1] ?? "";
      if (record.checked === value) continue;
      if (invalidInValue.test(value)) {
        throw new TypeError(`the value of the header field ${record.name} has characters that HTTP/2 does not allow`);
      }
      if (record.indexing !== "secret" && value.length <= maxIndexedLength) record.checked = value;
    }
  }

  #announce(): void {
    if (this.#pending === undefined) return;
    const { smallest, last } = this.#pending;
    this.#pending = undefined;
    if (smallest < this.#table.maxBytes) this.#resize(smallest);
    if (last !== this.#table.maxBytes) this.#resize(last);
  }

  #resize(bytes: number): void {
    this.#writeInteger(0x20, 0x1f, bytes);
    this.#table.resize(bytes);
  }

  /** @returns true when the field would take the same form the next time, did the table not change. */
  #writeField(record: NameRecord, value: string): boolean {
    if (record.indexing === "never") return this.#writeLiteral({ record, value, form: 0x00 });
    if (record.indexing === "secret") return this.#writeLiteral({ record, value, form: 0x10 });
    const index = this.#indexOf(record, value);
    if (index > 0) {
      this.#writeInteger(0x80, 0x7f, index);
      return true;
    }
    if (value.length > maxIndexedLength || sizeOf(record.name, value) > this.#table.maxBytes) {
      return this.#writeLiteral({ record, value, form: 0x00 });
    }
    // The path of a Connect GET holds its message.
    const atOnce = record.indexing === "at once" && !value.includes("?");
    if (atOnce || record.sent === value) {
      this.#writeLiteral({ record, value, form: 0x40 });
      this.#insert(record, value);
      return true;
    }
    record.sent = value;
    this.#writeLiteral({ record, value, form: 0x00 });
    return false;
  }

  #indexOf({ fixed, ordinals }: NameRecord, value: string): number {
    const index = fixed?.values?.get(value);
    if (index !== undefined) return index;
    const ordinal = ordinals.size === 0 ? undefined : ordinals.get(value);
    return ordinal === undefined ? 0 : this.#indexOfOrdinal(ordinal);
  }

  #indexOfOrdinal(ordinal: number): number {
    return firstDynamicIndex + this.#inserted - 1 - ordinal;
  }

  #insert(record: NameRecord, value: string): void {
    this.#table.insert({ name: record.name, value, record });
    record.ordinals.set(value, this.#inserted);
    record.newest = this.#inserted;
    record.sent = undefined;
    this.#inserted++;
  }

  /** RFC 7541, section 6.2. `form` is the first byte's pattern. */
  #writeLiteral({ record, value, form }: { record: NameRecord; value: string; form: 0x00 | 0x10 | 0x40 }): true {
    const { name, newest } = record;
    const alive = newest >= 0 && this.#inserted - newest <= this.#table.count;
    const nameIndex = record.fixed?.index ?? (alive ? this.#indexOfOrdinal(newest) : 0);
    this.#writeInteger(form, form === 0x40 ? 0x3f : 0x0f, nameIndex);
    if (nameIndex === 0) this.#writeString(name);
    this.#writeString(value);
    return true;
  }

  /** RFC 7541, section 5.2, without Huffman: it would cost more here than it saves. */
  #writeString(text: string): void {
    this.#writeInteger(0, 0x7f, text.length);
    this.#at = writeLatin1(text, this.#into, this.#at);
  }

  /** RFC 7541, section 5.1: after the bits of `form`, a prefix whose bits are all set in `full`. */
  #writeInteger(form: number, full: number, value: number): void {
    const into = this.#into;
    if (value < full) {
      into[this.#at++] = form | value;
      return;
    }
    into[this.#at++] = form | full;
    let rest = value - full;
    for (; rest >= 0x80; rest >>>= 7) into[this.#at++] = 0x80 | (rest & 0x7f);
    into[this.#at++] = rest;
  }

  #remember(list: readonly string[], block: Uint8Array): void {
    if (block.length > maxRememberedBytes) return;
    const { changes } = this.#table;
    if (this.#rememberedChanges !== changes || this.#remembered.size >= maxRemembered) this.#remembered.clear();
    this.#rememberedChanges = changes;
    this.#remembered.set(list, new Uint8Array(block));
  }
}

/** Most blocks are a few bytes, for which a loop is faster than the call into Node. */
function copy(block: Uint8Array, into: Buffer, at: number): number {
  if (block.length > 32) into.set(block, at);
  else for (let index = 0; index < block.length; index++) into[at + index] = block[index] ?? 0;
  return at + block.length;
}

import type { HpackField } from "./hpack-static.ts";

/** RFC 7541, section 4.1: what an entry costs beside its name and value. */
export const entryOverheadBytes = 32;

/** The size of a field as the dynamic table (RFC 7541, section 4.1) and SETTINGS_MAX_HEADER_LIST_SIZE count it. */
export function sizeOf(name: string, value: string): number {
  return name.length + value.length + entryOverheadBytes;
}

/**
 * The dynamic table (RFC 7541, section 2.3.2): a ring of entries that grows as it is used. Every entry costs at least 32 bytes of the
 * table's size, which bounds the ring.
 */
export class HpackTable<Entry extends HpackField> {
  /** Counts changes: while it stays the same, every index stands for the same field. */
  changes = 0;
  /** Entries in the table. */
  count = 0;
  maxBytes: number;
  #bytes = 0;
  /** Its length is a power of two. */
  #ring: (Entry | undefined)[] = [undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined];
  #next = 0;
  readonly #evicted: ((entry: Entry) => void) | undefined;

  /** @param evicted is told of every entry that leaves. */
  constructor(maxBytes: number, evicted?: (entry: Entry) => void) {
    this.maxBytes = maxBytes;
    this.#evicted = evicted;
  }

  /** The entry so many places behind the newest, which has 0. */
  at(age: number): Entry | undefined {
    return age < this.count ? this.#ring[(this.#next - 1 - age) & (this.#ring.length - 1)] : undefined;
  }

  /** Adds the entry as the newest. One that is larger than the table empties it instead (RFC 7541, section 4.4). */
  insert(entry: Entry): void {
    const bytes = sizeOf(entry.name, entry.value);
    this.changes++;
    this.#shrink(this.maxBytes - bytes);
    if (bytes > this.maxBytes) return;
    if (this.count === this.#ring.length) this.#grow();
    this.#ring[this.#next] = entry;
    this.#next = (this.#next + 1) & (this.#ring.length - 1);
    this.count++;
    this.#bytes += bytes;
  }

  /** Sets the largest size; entries that have no room any more leave, the oldest first (RFC 7541, section 4.3). */
  resize(maxBytes: number): void {
    if (maxBytes === this.maxBytes) return;
    this.changes++;
    this.maxBytes = maxBytes;
    this.#shrink(maxBytes);
  }

  #shrink(bytes: number): void {
    while (this.#bytes > bytes && this.count > 0) {
      const place = (this.#next - this.count) & (this.#ring.length - 1);
      const entry = this.#ring[place];
      this.#ring[place] = undefined;
      this.count--;
      if (entry === undefined) continue;
      this.#bytes -= sizeOf(entry.name, entry.value);
      this.#evicted?.(entry);
    }
  }

  #grow(): void {
    const oldestFirst = [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)];
    this.#next = oldestFirst.length;
    this.#ring = oldestFirst.concat(new Array<undefined>(oldestFirst.length).fill(undefined));
  }
}

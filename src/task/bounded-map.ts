/** What a {@link BoundedMap} may hold. */
export interface MapBounds {
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly ttlMs: number;
}

interface Entry<Value> {
  readonly key: string;
  readonly value: Value;
  readonly bytes: number;
  readonly expiresMs: number;
  older: Entry<Value> | undefined;
  younger: Entry<Value> | undefined;
}

/**
 * A map that forgets: the entry set longest ago leaves when there are too many, too many bytes, or its time is over. The order is a
 * list of its own, since finding a Map's oldest key steps over every key deleted before it.
 */
export class BoundedMap<Value> {
  readonly #bounds: MapBounds;
  readonly #entries = new Map<string, Entry<Value>>();
  #oldest: Entry<Value> | undefined;
  #youngest: Entry<Value> | undefined;
  #bytes = 0;

  constructor(bounds: MapBounds) {
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): Value | undefined {
    this.sweep();
    return this.#entries.get(key)?.value;
  }

  /** Puts the entry, of `bytes` bytes, at the young end. */
  set(key: string, value: Value, bytes: number): void {
    this.delete(key);
    const older = this.#youngest;
    const entry: Entry<Value> = { key, value, bytes, expiresMs: Date.now() + this.#bounds.ttlMs, older, younger: undefined };
    if (older === undefined) this.#oldest = entry;
    else older.younger = entry;
    this.#youngest = entry;
    this.#entries.set(key, entry);
    this.#bytes += bytes;
    this.sweep();
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
    if (entry.older === undefined) this.#oldest = entry.younger;
    else entry.older.younger = entry.younger;
    if (entry.younger === undefined) this.#youngest = entry.older;
    else entry.younger.older = entry.older;
    entry.older = entry.younger = undefined; // else one old entry that is not collected yet would keep all after it
  }

  /** Drops what is over the bounds. Reading and writing do it too; call it to free memory of a map that is left alone. */
  sweep(): void {
    const { maxEntries, maxBytes } = this.#bounds;
    const nowMs = Date.now();
    for (let entry = this.#oldest; entry !== undefined; entry = this.#oldest) {
      const over = this.#entries.size > maxEntries || this.#bytes > maxBytes;
      if (!over && entry.expiresMs > nowMs) return;
      this.delete(entry.key);
    }
  }
}

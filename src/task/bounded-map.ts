/** What a {@link BoundedMap} may hold. */
export interface MapBounds {
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly ttlMs: number;
}

interface Entry<Value> {
  readonly value: Value;
  readonly bytes: number;
  readonly expiresMs: number;
}

/** A map that forgets: the entry set longest ago leaves when there are too many, too many bytes, or its time is over. */
export class BoundedMap<Value> {
  readonly #bounds: MapBounds;
  readonly #entries = new Map<string, Entry<Value>>(); // in the order of their last set()
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
    this.#entries.set(key, { value, bytes, expiresMs: Date.now() + this.#bounds.ttlMs });
    this.#bytes += bytes;
    this.sweep();
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }

  /** Drops what is over the bounds. Reading and writing do it too; call it to free memory of a map that is left alone. */
  sweep(): void {
    const now = Date.now();
    for (const [key, entry] of this.#entries) {
      const over = this.#entries.size > this.#bounds.maxEntries || this.#bytes > this.#bounds.maxBytes;
      if (!over && entry.expiresMs > now) return;
      this.delete(key);
    }
  }
}

const slots = 64;

/** Longest block that is remembered. */
const maxBlockBytes = 128;

/**
 * Finds what a header block was decoded to by the block's bytes. Holds no more than 64 blocks of 128 bytes, each in the place that
 * its hash says. Whoever holds it clears it when the dynamic table changes, because then the same bytes mean something else.
 */
export class BlockMemo<Block> {
  readonly #blocks: (Block | undefined)[] = [];
  readonly #bytes: Uint8Array[] = [];
  /** Hashes that have been looked for, whether something was put there or not. */
  readonly #seen = new Int32Array(slots);
  /** Of what {@link BlockMemo.find} looked for last. */
  #hash = 0;
  #again = false;
  #empty = true;

  clear(): void {
    if (this.#empty) return;
    this.#blocks.fill(undefined);
    this.#empty = true;
  }

  find(bytes: Uint8Array, start: number, end: number): Block | undefined {
    const length = end - start;
    if (length > maxBlockBytes) return undefined;
    const hash = hashOf(bytes, start, end);
    const slot = hash >>> 26;
    this.#hash = hash;
    this.#again = this.#seen[slot] === hash;
    this.#seen[slot] = hash;
    if (!this.#again || this.#empty) return undefined;
    const block = this.#blocks[slot];
    const known = this.#bytes[slot];
    if (block === undefined || known === undefined || known.length !== length) return undefined;
    for (let index = 0; index < length; index++) if (known[index] !== bytes[start + index]) return undefined;
    return block;
  }

  /** True when what the last `find` looked for had been looked for before. */
  get again(): boolean {
    return this.#again;
  }

  /** Keeps the block that the last `find`, for these same bytes, did not find; one that is too long is not kept. */
  keep(bytes: Uint8Array, block: Block): void {
    if (bytes.length > maxBlockBytes) return;
    const slot = this.#hash >>> 26;
    // The arrays get all their places at the first block, so that they never have holes.
    while (this.#blocks.length < slots) {
      this.#blocks.push(undefined);
      this.#bytes.push(nothing);
    }
    this.#blocks[slot] = block;
    this.#bytes[slot] = new Uint8Array(bytes);
    this.#empty = false;
  }
}

const nothing = new Uint8Array(0);

/** Four bytes at a time; what is left over one by one. Its upper bits are the mixed ones. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start;
  let at = start;
  for (; at + 3 < end; at += 4) {
    const word = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
    hash = Math.imul(hash ^ word, 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  for (; at < end; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x9e3779b1);
  return Math.imul(hash ^ (hash >>> 13), 0x85ebca6b);
}

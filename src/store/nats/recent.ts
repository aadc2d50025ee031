import type { Chunk, RecentChunks } from "./log-view.ts";

/** Counted for each chunk beside its entries' bytes. */
const overheadBytes = 256;

/** The newest chunks of followed logs, so that those who wait at the end need not ask for them; the oldest leave first. */
export class RecentAppends implements RecentChunks {
  readonly #chunks = new Map<string, Chunk>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get(log: string, number: number): Chunk | undefined {
    return this.#chunks.get(`${log} ${number}`);
  }

  add(log: string, chunk: Chunk): void {
    const key = `${log} ${chunk.number}`;
    const size = sizeOf(chunk);
    if (size > this.#maxBytes / 2 || this.#chunks.has(key)) return;
    this.#chunks.set(key, chunk);
    this.#bytes += size;
    for (const [oldest, each] of this.#chunks) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#chunks.delete(oldest);
      this.#bytes -= sizeOf(each);
    }
  }
}

function sizeOf({ entries }: Chunk): number {
  return entries.reduce((bytes, { byteLength }) => bytes + byteLength + 64, overheadBytes);
}

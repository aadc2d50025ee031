import { resourceExhausted } from "../core/index.ts";

/** Counted for each array beside its bytes, so that a flood of empty ones is bounded too. */
const overheadBytes = 64;

/** The memory that a store in this process may hold. */
export class MemoryBudget {
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Counts arrays in, all or none. @throws ConnectError RESOURCE_EXHAUSTED when they do not fit. */
  take(arrays: readonly Uint8Array[]): void {
    const bytes = this.#bytes + sizeOf(arrays);
    if (bytes > this.#maxBytes) {
      const description = `the store is full: it holds ${this.#bytes} of the ${this.#maxBytes} bytes that it may`;
      throw resourceExhausted({ subject: "store bytes", description });
    }
    this.#bytes = bytes;
  }

  /** Counts arrays out. */
  give(arrays: readonly Uint8Array[]): void {
    this.#bytes -= sizeOf(arrays);
  }
}

function sizeOf(arrays: readonly Uint8Array[]): number {
  return arrays.reduce((bytes, { byteLength }) => bytes + byteLength + overheadBytes, 0);
}

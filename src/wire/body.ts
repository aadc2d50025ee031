import { tooLong } from "./envelope.ts";

/** Collects a body that is one message, without envelopes. */
export class BodyReader {
  readonly #maxBytes: number;
  #pieces: Uint8Array[] = [];
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @throws ConnectError RESOURCE_EXHAUSTED when it grows too long. */
  push(bytes: Uint8Array): void {
    this.#length += bytes.length;
    if (this.#length > this.#maxBytes) throw tooLong(undefined, this.#maxBytes);
    this.#pieces.push(bytes);
  }

  /** All of it. */
  take(): Uint8Array {
    const [first, ...others] = this.#pieces;
    this.#pieces = [];
    if (first === undefined) return new Uint8Array(0);
    return others.length === 0 ? first : Buffer.concat([first, ...others]);
  }
}

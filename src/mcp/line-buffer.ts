const newline = 10;

/** Puts lines together from the pieces in which they come. */
export class LineBuffer {
  readonly #maxBytes: number;
  #held: Buffer = Buffer.alloc(0);
  #bytes = 0;

  /** @param maxBytes of one line, without its end. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @returns the lines that the piece ends, and whether one is longer than the bound: nothing may be added then. */
  add(piece: Buffer): { readonly lines: readonly string[]; readonly isOver: boolean } {
    const lines: string[] = [];
    let from = 0;
    for (let end = piece.indexOf(newline); end !== -1; end = piece.indexOf(newline, from)) {
      if (!this.#hold(piece.subarray(from, end))) return { lines, isOver: true };
      lines.push(this.#held.toString("utf8", 0, this.#bytes));
      this.#bytes = 0;
      from = end + 1;
    }
    if (lines.length > 0) this.#held = Buffer.alloc(0); // the room of a long line is not kept for short ones
    return { lines, isOver: !this.#hold(piece.subarray(from)) };
  }

  /** In room that doubles: a list of pieces, which may be as small as a byte, would cost many times what they say. */
  #hold(bytes: Buffer): boolean {
    const total = this.#bytes + bytes.length;
    if (total > this.#maxBytes) return false;
    if (total > this.#held.length) {
      const larger = Buffer.allocUnsafe(Math.max(total, Math.min(2 * this.#held.length, this.#maxBytes)));
      this.#held.copy(larger, 0, 0, this.#bytes);
      this.#held = larger;
    }
    bytes.copy(this.#held, this.#bytes);
    this.#bytes = total;
    return true;
  }
}

/** Counts the requests that are being answered. */
export class InFlight {
  #count = 0;
  #emptied: () => void = () => {};

  get count(): number {
    return this.#count;
  }

  add(): void {
    this.#count++;
  }

  remove(): void {
    if (--this.#count === 0) this.#emptied();
  }

  /** Settles when nothing is being answered. */
  async idle(): Promise<void> {
    if (this.#count === 0) return;
    await new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
  }
}

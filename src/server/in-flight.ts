import type { WireResponse } from "../wire/index.ts";

/** The requests that are being answered. */
export class InFlight {
  readonly #responses = new Set<WireResponse>();
  #emptied: () => void = () => {};

  get count(): number {
    return this.#responses.size;
  }

  add(response: WireResponse): void {
    this.#responses.add(response);
    response.once("close", () => {
      this.#responses.delete(response);
      if (this.#responses.size === 0) this.#emptied();
    });
  }

  /** Settles when nothing is being answered. */
  async idle(): Promise<void> {
    if (this.#responses.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
  }
}

import { wireBounds } from "../../core/index.ts";

/** What a call has sent, for sending it again, up to a bound. */
export class KeptRequest {
  #pieces: Uint8Array[] | undefined = [];
  #bytes = 0;

  /** Nothing was too long, and it was not let go of. */
  get whole(): boolean {
    return this.#pieces !== undefined;
  }

  get pieces(): readonly Uint8Array[] {
    return this.#pieces ?? [];
  }

  add(bytes: Uint8Array): void {
    if (this.#pieces === undefined) return;
    this.#bytes += bytes.length;
    if (this.#bytes > wireBounds.maxKeptBytes) this.drop();
    else this.#pieces.push(bytes);
  }

  /** To send it again is out of the question. */
  drop(): void {
    this.#pieces = undefined;
  }
}

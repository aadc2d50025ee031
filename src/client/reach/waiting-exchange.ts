import { reachBounds } from "../../core/index.ts";
import type { ClientExchange } from "../../wire/index.ts";

/** A call's exchange while it waits for an endpoint: keeps what is sent, and hands it on. */
export class WaitingExchange implements ClientExchange {
  readonly #onCancel: () => void;
  #exchange: ClientExchange | undefined;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #ended = false;
  #paused = false;
  #full = false;

  /** @param onCancel the call has been given up before it went anywhere. */
  constructor(onCancel: () => void) {
    this.#onCancel = onCancel;
  }

  /** Goes on over this exchange. @returns whether the writer was told that there is no room, and may write again. */
  continueOn(exchange: ClientExchange): boolean {
    this.#exchange = exchange;
    let room = true;
    for (const piece of this.#pieces) room = exchange.write(piece);
    this.#pieces = [];
    if (this.#ended) exchange.end();
    if (this.#paused) exchange.pause();
    return this.#full && room;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#exchange !== undefined) return this.#exchange.write(bytes);
    this.#pieces.push(bytes);
    this.#bytes += bytes.length;
    this.#full = this.#bytes > reachBounds.maxWaitingBytes;
    return !this.#full;
  }

  end(bytes?: Uint8Array): void {
    if (this.#exchange !== undefined) {
      this.#exchange.end(bytes);
      return;
    }
    if (bytes !== undefined) this.#pieces.push(bytes);
    this.#ended = true;
  }

  pause(): void {
    this.#paused = true;
    this.#exchange?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#exchange?.resume();
  }

  reset(code: Parameters<ClientExchange["reset"]>[0]): void {
    if (this.#exchange === undefined) this.#onCancel();
    else this.#exchange.reset(code);
  }
}

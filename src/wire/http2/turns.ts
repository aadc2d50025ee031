import type { Stream } from "./stream.ts";

/** Streams that have something to send, and room for it in their own windows. Each sends a frame when its turn comes. */
export class Turns {
  readonly #line = new Set<Stream>();
  /** How much the connection lets a stream send now. */
  readonly #room: () => number;
  #turning = false;

  constructor(room: () => number) {
    this.#room = room;
  }

  get empty(): boolean {
    return this.#line.size === 0;
  }

  add(stream: Stream): void {
    this.#line.add(stream);
  }

  remove(stream: Stream): void {
    this.#line.delete(stream);
  }

  /** Sends what can be sent. Who gets in line meanwhile has a turn in the same round. */
  go(): void {
    if (this.#turning) return;
    this.#turning = true;
    for (const stream of this.#line) {
      if (this.#room() <= 0) break;
      this.#line.delete(stream);
      if (stream.sendSome()) this.#line.add(stream);
    }
    this.#turning = false;
  }
}

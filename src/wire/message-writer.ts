import { wireBounds } from "../core/index.ts";
import { type Envelope, joinEnvelopes, prefixBytes } from "./envelope.ts";
import type { Writable } from "./exchange.ts";

/**
 * Writes messages so that those of one tick leave in one write. `process.nextTick` from a promise callback runs when all promise
 * callbacks have run, so a generator that yields without waiting for anything fills one write.
 */
export class MessageWriter {
  readonly #target: Writable;
  /** Called before the first bytes. */
  readonly #begin: () => void;
  #batch: Envelope[] = [];
  #bytes = 0;
  #full = false;
  #closed = false;
  #wake: (() => void) | undefined;

  constructor(target: Writable, begin: () => void) {
    this.#target = target;
    this.#begin = begin;
  }

  /** False: wait for {@link room} before the next one. */
  push(flags: number, payload: Uint8Array): boolean {
    if (this.#closed) return true;
    if (this.#batch.push({ flags, payload }) === 1) process.nextTick(flushLater, this);
    this.#bytes += prefixBytes + payload.length;
    if (this.#bytes >= wireBounds.maxBatchBytes) this.flush();
    return !this.#full;
  }

  flush(): void {
    if (this.#closed || this.#batch.length === 0) return;
    this.#begin();
    if (!this.#target.write(this.take())) this.#full = true;
  }

  /** What waits to be written, for whoever writes the end along with it. */
  take(): Buffer {
    const joined = joinEnvelopes(this.#batch);
    this.#batch = [];
    this.#bytes = 0;
    return joined;
  }

  /** True when something waits to be written. */
  get pending(): boolean {
    return this.#batch.length > 0;
  }

  /** Settles when there is room to write, or nothing can be written any more. */
  room(): Promise<void> {
    if (!this.#full) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** There is room. */
  drained(): void {
    this.#full = false;
    this.#wake?.();
  }

  /** Drops what waits, and everything that comes. */
  close(): void {
    this.#closed = true;
    this.#batch = [];
    this.drained();
  }
}

function flushLater(writer: MessageWriter): void {
  writer.flush();
}

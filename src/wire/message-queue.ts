import { isPromise, wireBounds } from "../core/index.ts";
import type { Envelope } from "./envelope.ts";

const { maxQueuedBytes, envelopeOverheadBytes } = wireBounds;

export interface MessageQueueOptions<T> {
  /** Makes the message of an envelope. What it throws is what the reader gets, and ends the queue. */
  readonly decode: (envelope: Envelope) => T | Promise<T>;
  /** Called when too much waits, and when there is room again. */
  readonly pause: () => void;
  readonly resume: () => void;
  /** Called once when the reader leaves before the end. */
  readonly left?: () => void;
}

interface Waiter<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(reason: unknown): void;
}

/** Messages between the wire, which pushes, and one reader, which pulls: an async iterator without generators in between. */
export class MessageQueue<T> implements AsyncIterableIterator<T, undefined> {
  readonly #options: MessageQueueOptions<T>;
  #envelopes: Envelope[] = [];
  #head = 0;
  #bytes = 0;
  #paused = false;
  #waiters: Waiter<T>[] = [];
  #decoding: Promise<unknown> | undefined;
  #ended = false;
  #failure: { reason: unknown } | undefined;

  constructor(options: MessageQueueOptions<T>) {
    this.#options = options;
  }

  push(flags: number, payload: Uint8Array): void {
    if (this.#ended) return;
    this.#envelopes.push({ flags, payload });
    this.#bytes += payload.length + envelopeOverheadBytes;
    if (this.#waiters.length > 0) this.#serve();
    if (!this.#paused && this.#bytes > maxQueuedBytes) {
      this.#paused = true;
      this.#options.pause();
    }
  }

  /** No message comes after those that wait; then `failure`, if given, is thrown. */
  end(failure?: { reason: unknown }): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#serve();
  }

  /** Drops what waits and throws at once. */
  abort(reason: unknown): void {
    this.#stop(this.#failure ?? { reason });
    this.#serve();
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#waiters.length === 0 && this.#decoding === undefined) {
      const envelope = this.#shift();
      if (envelope !== undefined) return this.#decode(envelope);
      if (this.#ended) return this.#last();
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
    });
  }

  return(): Promise<IteratorResult<T, undefined>> {
    const early = !this.#ended;
    this.#stop(undefined);
    this.#serve();
    if (early) this.#options.left?.();
    this.#failure = undefined; // `left` may have aborted
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #stop(failure: { reason: unknown } | undefined): void {
    this.#envelopes = [];
    this.#head = this.#bytes = 0;
    this.#ended = true;
    this.#failure = failure;
  }

  #shift(): Envelope | undefined {
    if (this.#head === this.#envelopes.length) return undefined;
    const envelope = this.#envelopes[this.#head++];
    if (this.#head === this.#envelopes.length) {
      this.#envelopes = [];
      this.#head = 0;
    }
    this.#bytes -= (envelope?.payload.length ?? 0) + envelopeOverheadBytes;
    if (this.#paused && this.#bytes <= maxQueuedBytes / 2) {
      this.#paused = false;
      this.#options.resume();
    }
    return envelope;
  }

  /** One message at a time: those that are compressed take a while, and the order must hold. */
  #decode(envelope: Envelope): Promise<IteratorResult<T, undefined>> {
    try {
      const message = this.#options.decode(envelope);
      if (!isPromise(message)) return Promise.resolve({ done: false, value: message });
      const decoding = message.then(
        (value): IteratorResult<T, undefined> => {
          this.#decoded();
          return { done: false, value };
        },
        (reason: unknown) => {
          this.#stop(undefined);
          this.#decoded();
          throw reason;
        },
      );
      this.#decoding = decoding;
      return decoding;
    } catch (thrown) {
      this.#stop(undefined);
      return Promise.reject(thrown);
    }
  }

  #decoded(): void {
    this.#decoding = undefined;
    this.#serve();
  }

  /** The failure is thrown once; whoever reads on finds the end. */
  #last(): Promise<IteratorResult<T, undefined>> {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(failure.reason);
  }

  #serve(): void {
    while (this.#waiters.length > 0 && this.#decoding === undefined) {
      const envelope = this.#shift();
      if (envelope === undefined && !this.#ended) return;
      const waiter = this.#waiters.shift();
      const result = envelope === undefined ? this.#last() : this.#decode(envelope);
      result.then(waiter?.resolve, waiter?.reject);
    }
  }
}

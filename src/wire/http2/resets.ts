import { wireBounds } from "../../core/index.ts";
import { Budget } from "./budget.ts";
import { ConnectionError, errorCodes } from "./frames.ts";

export interface ResetBounds {
  /** Streams that may be reset on the peer's account, at once and a second. */
  readonly streamResetBurst: number;
  readonly streamResetsPerSecond: number;
}

/** Keeps account of the streams of a connection that were reset. */
export class Resets {
  readonly #budget: Budget;
  readonly #forgiven = new Set<number>();

  constructor({ streamResetBurst, streamResetsPerSecond }: ResetBounds) {
    this.#budget = new Budget(streamResetBurst, streamResetsPerSecond);
  }

  /**
   * The peer has reset a stream, or made us reset one: calls begun for nothing (CVE-2023-44487, CVE-2025-8671).
   *
   * @throws ConnectionError ENHANCE_YOUR_CALM when it does so too often.
   */
  charge(): void {
    if (!this.#budget.take()) throw new ConnectionError(errorCodes.enhanceYourCalm, "too many streams were reset");
  }

  /** What still comes on this stream is no fault of the peer's, who may not have heard that it was reset. */
  forgive(streamId: number): void {
    this.#forgiven.add(streamId);
    if (this.#forgiven.size <= wireBounds.maxForgivenStreams) return;
    const [oldest = streamId] = this.#forgiven;
    this.#forgiven.delete(oldest);
  }

  isForgiven(streamId: number): boolean {
    return this.#forgiven.has(streamId);
  }
}

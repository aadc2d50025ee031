import { setImmediate as turn } from "node:timers/promises";
import { sqliteBounds, waitFor } from "../../core/index.ts";
import type { Done } from "./writer.ts";

/** Entries that a follower need not read: they are what it waited for. */
export interface Arrival {
  /** The number of the first of them. */
  readonly first: number;
  readonly entries: readonly Uint8Array[];
}

interface Follower {
  /** The number of the entry that it waits for. */
  readonly number: number;
  /** Nothing when it has to look for itself. */
  wake(arrival?: Arrival): void;
}

/** What wakes the readers at the end of a log, also of one that is not there yet. */
export class LogFollowers {
  readonly #waiting = new Map<string, Set<Follower>>();
  readonly #lengthOf: (log: string) => number;
  #isLooking = false;
  /** Others have written since the looking began. */
  #isStale = false;

  /** @param lengthOf reads how long a log is; what it throws wakes the log's followers, who will meet it. */
  constructor(lengthOf: (log: string) => number) {
    this.#lengthOf = lengthOf;
  }

  /** Logs that are waited for. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Waits until the log may have entry `number`. @throws what `signal` is aborted with. */
  async changed(log: string, number: number, signal: AbortSignal | undefined): Promise<Arrival | undefined> {
    let arrived: Arrival | undefined;
    await waitFor(signal, (wake) => {
      const waiting = this.#waiting.get(log) ?? new Set();
      const follower: Follower = {
        number,
        wake(arrival) {
          arrived = arrival;
          wake();
        },
      };
      this.#waiting.set(log, waiting.add(follower));
      return () => {
        waiting.delete(follower);
        if (waiting.size === 0 && this.#waiting.get(log) === waiting) this.#waiting.delete(log);
      };
    });
    return arrived;
  }

  /** Appends of this process are on the disk: who waits for them gets them from memory, unless they are many. */
  appended(done: readonly Done[]): void {
    if (this.#waiting.size === 0) return;
    const arrivals = new Map<string, { first: number; entries: Uint8Array[] }>();
    for (const { operation, number } of done) {
      if (operation.kind !== "append" || !this.#waiting.has(operation.name)) continue;
      const first = number - operation.arrays.length;
      const arrival = arrivals.get(operation.name);
      if (arrival === undefined) arrivals.set(operation.name, { first, entries: [...operation.arrays] });
      else if (arrival.first + arrival.entries.length === first) arrival.entries.push(...operation.arrays);
    }
    for (const [log, arrival] of arrivals) this.#wake(log, arrival);
  }

  /** Other processes have written: wakes those at whose number the log does not end any more. */
  async lookAgain(): Promise<void> {
    this.#isStale = true;
    if (this.#isLooking) return;
    this.#isLooking = true;
    while (this.#isStale) {
      this.#isStale = false;
      let count = 0;
      for (const log of [...this.#waiting.keys()]) {
        this.#look(log);
        if (++count % sqliteBounds.pageLeases === 0) await turn(undefined, { ref: false });
      }
    }
    this.#isLooking = false;
  }

  wakeAll(): void {
    for (const waiting of [...this.#waiting.values()]) for (const follower of [...waiting]) follower.wake();
  }

  #wake(log: string, arrival: Arrival): void {
    // While others' writing is looked at, the entries may be of another log that has got the name.
    const isSmall =
      !this.#isLooking && arrival.entries.reduce((bytes, { byteLength }) => bytes + byteLength, 0) <= sqliteBounds.pageBytes;
    for (const follower of [...(this.#waiting.get(log) ?? [])]) {
      follower.wake(isSmall && follower.number === arrival.first ? arrival : undefined);
    }
  }

  #look(log: string): void {
    const waiting = this.#waiting.get(log);
    if (waiting === undefined) return;
    const length = this.#lengthNow(log);
    for (const follower of [...waiting]) if (follower.number !== length) follower.wake(); // also when it is another log by now
  }

  #lengthNow(log: string): number {
    try {
      return this.#lengthOf(log);
    } catch {
      return Number.POSITIVE_INFINITY;
    }
  }
}

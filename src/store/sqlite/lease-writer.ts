import type { Result } from "./failure.ts";
import type { Connection } from "./schema.ts";

/** Bounds of a {@link LeaseWriter}. */
export interface LeaseWriterBounds {
  readonly maxEndedLeases: number;
  readonly maxLeaseTtlMs: number;
}

/** Leases that one transaction ends: others want to write too. */
const maxEndedAtOnce = 1_000;
/** A clock that goes back by less is no reason to look at every lease. */
const clockStepMs = 1_000;

/**
 * Leases, inside of the writing thread's transactions. A lease ends by being written: so whoever renews and whoever ends it can never
 * both succeed, in how many processes they may be.
 *
 * Ends stand on the wall clock, which all processes of a machine and its next start share. When it is set forward, leases end early by
 * as much. When it is set back, a running process sees it and lets none last longer than its whole time from then.
 */
export class LeaseWriter {
  readonly #bounds: LeaseWriterBounds;
  readonly #statements;
  /** The last change's number, once this transaction has asked for it. */
  #change: number | undefined;
  #clockOffsetMs = clockOffsetMs();

  constructor(connection: Connection, bounds: LeaseWriterBounds) {
    this.#bounds = bounds;
    this.#statements = prepareStatements(connection);
  }

  /** @param holder the presence that it ends with. */
  lease(key: string, [value = new Uint8Array(), holder]: readonly Uint8Array[], ttlMs: number): Result {
    const now = Date.now();
    if (this.#statements.isHeld.get(key, now) !== undefined) return { case: "held" };
    const change = this.#next();
    const ends = [Math.ceil(ttlMs), endMs(now, ttlMs)] as const; // a pair
    this.#statements.put.run(key, change, change, ...ends, value, holder === undefined ? null : Buffer.from(holder).toString());
    return change;
  }

  renew(key: string, revision: number, value: Uint8Array | undefined): Result {
    const now = Date.now();
    const ttlMs = this.#statements.ttl.get(key, revision, now);
    if (ttlMs === undefined) return { case: "lost" };
    if (value === undefined) this.#statements.renew.run(endMs(now, ttlMs), key);
    else this.#statements.change.run(endMs(now, ttlMs), value, this.#next(), key);
    return 0;
  }

  release(key: string, revision: number): Result {
    if (this.#statements.isLive.get(key, revision) !== undefined) this.#end(key);
    return 0;
  }

  /** Ends those whose time is over, and those of the presences that are gone. False when more are left. */
  endDue(gone: readonly string[]): boolean {
    this.#checkClock();
    const due = this.#statements.due.all(Date.now(), maxEndedAtOnce);
    const left = gone.flatMap((holder) => this.#statements.heldBy.all(holder, maxEndedAtOnce));
    for (const key of new Set([...due, ...left])) this.#end(key);
    return due.length < maxEndedAtOnce;
  }

  /** The presences that live leases end with. */
  holders(): string[] {
    return this.#statements.holders.all();
  }

  /** When the next one ends, in milliseconds since the epoch; undefined when there is none. */
  nextEndMs(): number | undefined {
    return this.#statements.nextEnd.get() ?? undefined;
  }

  /** Writes how far the changes have come. True when there were any. */
  flush(): boolean {
    const changed = this.#change !== undefined;
    if (this.#change !== undefined) {
      this.#statements.count.run(this.#change);
      this.#statements.forgetEnded.run(this.#change - this.#bounds.maxEndedLeases);
    }
    this.#change = undefined;
    return changed;
  }

  /** The transaction is undone. */
  forget(): void {
    this.#change = undefined;
  }

  #next(): number {
    this.#change = (this.#change ?? this.#statements.counted.get() ?? 0) + 1;
    return this.#change;
  }

  #end(key: string): void {
    this.#statements.end.run(this.#next(), key);
  }

  #checkClock(): void {
    const now = Date.now();
    const offsetMs = clockOffsetMs();
    const isSetBack = offsetMs < this.#clockOffsetMs - clockStepMs;
    this.#clockOffsetMs = offsetMs;
    // No lease is taken for longer than a day: an end that is farther away was written by a clock that was wrong, in another run.
    this.#statements.shorten.run(now, isSetBack ? now : now + this.#bounds.maxLeaseTtlMs + 1, now);
  }
}

/** One more millisecond: the clock may be that much further than it says, and no lease ends early. */
function endMs(now: number, ttlMs: number): number {
  return now + Math.ceil(ttlMs) + 1;
}

function clockOffsetMs(): number {
  return Date.now() - performance.now();
}

function prepareStatements(connection: Connection) {
  return {
    isHeld: connection.prepare<[string, number]>("SELECT 1 FROM leases WHERE key = ? AND end_ms > ?"),
    isLive: connection.prepare<[string, number]>("SELECT 1 FROM leases WHERE key = ? AND revision = ? AND end_ms IS NOT NULL"),
    ttl: connection
      .prepare<[string, number, number], number>("SELECT ttl_ms FROM leases WHERE key = ? AND revision = ? AND end_ms > ?")
      .pluck(),
    put: connection.prepare<[string, number, number, number, number, Uint8Array, string | null]>(
      "REPLACE INTO leases (key, revision, change, ttl_ms, end_ms, value, holder) VALUES (?, ?, ?, ?, ?, ?, ?)",
    ),
    renew: connection.prepare<[number, string]>("UPDATE leases SET end_ms = ? WHERE key = ?"),
    change: connection.prepare<[number, Uint8Array, number, string]>(
      "UPDATE leases SET end_ms = ?, value = ?, change = ? WHERE key = ?",
    ),
    end: connection.prepare<[number, string]>(
      "UPDATE leases SET end_ms = NULL, value = x'', holder = NULL, change = ? WHERE key = ?",
    ),
    holders: connection.prepare<[], string>("SELECT DISTINCT holder FROM leases WHERE holder IS NOT NULL").pluck(),
    heldBy: connection.prepare<[string, number], string>("SELECT key FROM leases WHERE holder = ? LIMIT ?").pluck(),
    due: connection
      .prepare<[number, number], string>("SELECT key FROM leases WHERE end_ms <= ? ORDER BY end_ms LIMIT ?")
      .pluck(),
    nextEnd: connection.prepare<[], number | null>("SELECT min(end_ms) FROM leases WHERE end_ms IS NOT NULL").pluck(),
    shorten: connection.prepare<[number, number, number]>(
      "UPDATE leases SET end_ms = ? + ttl_ms + 1 WHERE end_ms > ? AND end_ms > ? + ttl_ms + 1",
    ),
    counted: connection.prepare<[], number>("SELECT change FROM counters").pluck(),
    count: connection.prepare<[number]>("UPDATE counters SET change = ?"),
    forgetEnded: connection.prepare<[number]>("DELETE FROM leases WHERE end_ms IS NULL AND change <= ?"),
  };
}

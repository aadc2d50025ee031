import { failureOf } from "./failure.ts";
import type { Report } from "./messages.ts";
import type { Transactions } from "./transactions.ts";

/** No lease ends later than this after its time because the clock was set forward; that it was set back is seen as soon. */
const maxSweepMs = 1_000;
/** Leases that end close to each other end in one transaction. */
const minSweepMs = 5;
/** What the disk or another process prevented is tried again after this. */
const retryMs = 250;

/** What the writing thread does by itself: it ends leases, deletes what has been trimmed, and looks for what other processes write. */
export class Upkeep {
  readonly #transactions: Transactions;
  readonly #pollMs: number;
  readonly #tell: (report: Report) => void;
  #sweepTimer: NodeJS.Timeout | undefined;
  #sweepAtMs = Number.POSITIVE_INFINITY;
  #deleteTimer: NodeJS.Timeout | undefined;
  #pollTimer: NodeJS.Timeout | undefined;

  constructor(transactions: Transactions, pollMs: number, tell: (report: Report) => void) {
    this.#transactions = transactions;
    this.#pollMs = pollMs;
    this.#tell = tell;
    attempt(() => this.#transactions.endDueLeases()); // at once: who opens the store after a kill does not wait for what was held
    this.#forgetGone();
    this.leasesCame();
    this.trimsCame();
  }

  /** Leases have been taken or renewed. */
  leasesCame(): void {
    const endMs = attempt(() => this.#transactions.nextLeaseEndMs() ?? Number.POSITIVE_INFINITY) ?? 0;
    if (endMs < Number.POSITIVE_INFINITY) this.#sweepAfter(Math.min(Math.max(endMs - Date.now(), minSweepMs), maxSweepMs));
  }

  /** Logs have been trimmed. */
  trimsCame(): void {
    this.#deleteAfter(0);
  }

  /** Whether somebody wants to know what other processes write. */
  follow(following: boolean): void {
    clearInterval(this.#pollTimer);
    if (!following) return;
    this.#pollTimer = setInterval(() => this.#poll(), this.#pollMs);
    this.#tell({ case: "others" }); // whoever begins to follow may have looked before the last change that was seen here
  }

  tellOthers(): void {
    if (!this.#transactions.takeOthersWrote()) return;
    this.leasesCame();
    this.#tell({ case: "others" });
  }

  stop(): void {
    clearTimeout(this.#sweepTimer);
    clearTimeout(this.#deleteTimer);
    clearInterval(this.#pollTimer);
  }

  #poll(): void {
    attempt(() => this.#transactions.look());
    this.tellOthers();
  }

  #sweepAfter(delayMs: number): void {
    const atMs = performance.now() + delayMs;
    if (atMs >= this.#sweepAtMs) return;
    this.#sweepAtMs = atMs;
    clearTimeout(this.#sweepTimer);
    this.#sweepTimer = setTimeout(() => this.#sweep(), delayMs);
  }

  #sweep(): void {
    this.#sweepAtMs = Number.POSITIVE_INFINITY;
    const ended = attempt(() => this.#transactions.endDueLeases());
    if (this.#transactions.takeLeasesChanged()) this.#tell({ case: "leases" });
    if (ended === undefined) this.#sweepAfter(retryMs);
    else this.leasesCame();
  }

  #forgetGone(): void {
    try {
      this.#transactions.forgetGone();
    } catch {
      // they take up names, and nothing else
    }
  }

  #deleteAfter(delayMs: number): void {
    this.#deleteTimer ??= setTimeout(() => this.#delete(), delayMs);
  }

  #delete(): void {
    this.#deleteTimer = undefined;
    const deleted = attempt(() => this.#transactions.deleteTrimmed());
    this.#transactions.checkpoint();
    if (deleted === undefined) this.#deleteAfter(retryMs);
    else if (deleted) this.#deleteAfter(0);
  }
}

/** Undefined when the file did not let it; anything else that goes wrong ends the thread. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (thrown) {
    failureOf(thrown);
    return undefined;
  }
}

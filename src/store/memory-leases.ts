import { type Due, LatestQueue, resourceExhausted, timers } from "../core/index.ts";
import { check } from "./check.ts";
import { leaseHeld, leaseLost } from "./errors.ts";
import type { MemoryBudget } from "./memory-budget.ts";
import type { Lease, LeaseChange, LeaseTerm } from "./store.ts";

interface Held {
  readonly key: string;
  readonly revision: bigint;
  readonly ttlMs: number;
  value: Uint8Array;
  /** By the clock of `performance.now`. */
  endMs: number;
  due: Due;
}

interface Watcher {
  readonly prefix: string;
  /** By key; the `current`, which has none, by the empty one, which no lease can have. */
  readonly changes: LatestQueue<string, LeaseChange>;
}

/** The leases of a store in this process. Their ends stand on the timer wheel that all of the process share. */
export class MemoryLeases {
  readonly #budget: MemoryBudget;
  readonly #maxLeases: number;
  readonly #held = new Map<string, Held>();
  readonly #watchers = new Set<Watcher>();
  #lastRevision = 0n;

  constructor(budget: MemoryBudget, maxLeases: number) {
    this.#budget = budget;
    this.#maxLeases = maxLeases;
  }

  lease(key: string, value: Uint8Array, term: number | LeaseTerm): Lease {
    check.name("key", key);
    check.value(key, value);
    const ttlMs = check.term(term);
    if (this.#held.has(key)) throw leaseHeld(key);
    if (this.#held.size >= this.#maxLeases) {
      const description = `the store has its ${this.#maxLeases} leases, the most allowed`;
      throw resourceExhausted({ subject: key, description });
    }
    this.#budget.take([value]);
    const due = timers.schedule(ttlMs, () => this.#look(held));
    const endMs = performance.now() + ttlMs;
    const held: Held = { key, revision: ++this.#lastRevision, ttlMs, value, endMs, due };
    this.#held.set(key, held);
    this.#tell(putOf(held));
    return {
      revision: held.revision,
      renew: async (value) => this.#renew(held, value),
      release: async () => this.#end(held),
    };
  }

  async *watch(prefix: string, signal: AbortSignal): AsyncGenerator<LeaseChange, void, undefined> {
    check.prefix(prefix);
    signal.throwIfAborted();
    const watcher: Watcher = { prefix, changes: new LatestQueue() };
    for (const held of this.#held.values()) if (held.key.startsWith(prefix)) watcher.changes.set(held.key, putOf(held));
    watcher.changes.set("", { case: "current" });
    this.#watchers.add(watcher);
    try {
      yield* watcher.changes.read(signal);
    } finally {
      this.#watchers.delete(watcher);
    }
  }

  #renew(held: Held, value: Uint8Array | undefined): void {
    if (this.#held.get(held.key) !== held) throw leaseLost(held.key, held.revision);
    if (value !== undefined) {
      check.value(held.key, value);
      this.#budget.take([value]);
      this.#budget.give([held.value]);
      held.value = value;
      this.#tell(putOf(held));
    }
    held.endMs = performance.now() + held.ttlMs; // the timer looks at it: a new one for each renewal would be garbage with the next
  }

  #look(held: Held): void {
    const leftMs = held.endMs - performance.now();
    if (leftMs > 0) held.due = timers.schedule(leftMs, () => this.#look(held));
    else this.#end(held);
  }

  #end(held: Held): void {
    if (this.#held.get(held.key) !== held) return;
    held.due.cancel();
    this.#held.delete(held.key);
    this.#budget.give([held.value]);
    this.#tell({ case: "delete", key: held.key, revision: held.revision });
  }

  #tell(change: Exclude<LeaseChange, { case: "current" }>): void {
    for (const { prefix, changes } of this.#watchers) if (change.key.startsWith(prefix)) changes.set(change.key, change);
  }
}

function putOf({ key, value, revision }: Held): Exclude<LeaseChange, { case: "current" }> {
  return { case: "put", key, value, revision };
}

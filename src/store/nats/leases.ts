import { LatestQueue, natsBounds } from "../../core/index.ts";
import { check } from "../check.ts";
import { leaseHeld, leaseLost } from "../errors.ts";
import type { Lease, LeaseChange } from "../store.ts";
import { noAnswer, storeClosed } from "./failures.ts";
import { type Held, LeaseMirror } from "./lease-mirror.ts";
import { keptSeconds, type LeaseRecord, leaseHeader, leaseText } from "./lease-record.ts";
import type { Attempt, NatsLink } from "./link.ts";
import { outcome } from "./shared-question.ts";
import type { Layout } from "./subjects.ts";

interface Watcher {
  readonly prefix: string;
  /** By key; the `current`, which has none, by the empty one, which no lease can have. */
  readonly changes: LatestQueue<string, LeaseChange>;
  /** Ends it: by its own signal, or with the store. */
  readonly end: AbortController;
}

const empty = new Uint8Array();

/** The leases: a subject each, whose last message is the lease's record, written by compare-and-set. */
export class NatsLeases {
  readonly #link: NatsLink;
  readonly #layout: Layout;
  readonly #mirror: LeaseMirror;
  readonly #watchers = new Set<Watcher>();

  constructor(link: NatsLink, layout: Layout) {
    this.#link = link;
    this.#layout = layout;
    this.#mirror = new LeaseMirror(link, layout, (change) => {
      for (const { prefix, changes } of this.#watchers) if (change.key.startsWith(prefix)) changes.set(change.key, change);
    });
  }

  async lease(key: string, value: Uint8Array, ttlMs: number): Promise<Lease> {
    check.name("key", key);
    check.value(key, value);
    check.ttl(ttlMs);
    const attempt = attemptOn(key);
    await this.#ready();
    for (let lastSeq = 0; ; ) {
      const held = this.#mirror.get(key);
      if (held !== undefined) {
        const seq = await this.#lastSeq(key, attempt);
        if (this.#mirror.get(key) === held && seq === held.seq) throw leaseHeld(key);
        await this.#mirror.reach(seq, attempt); // somebody has released it, or taken it again
        lastSeq = seq;
        checkTime(attempt);
        continue;
      }
      const sentMs = performance.now();
      const seq = await this.#store(key, { record: { kind: "taken", ttlMs }, value, expectedSeq: lastSeq }, attempt);
      if (seq !== undefined) {
        await this.#mirror.reach(seq, attempt);
        const taken = this.#mirror.get(key);
        if (taken?.revision === BigInt(seq)) return this.#leaseOf(taken, ttlMs, sentMs);
      }
      lastSeq = seq ?? (await this.#lastSeq(key, attempt)); // the record of one that has ended, or somebody was quicker
      await this.#mirror.reach(lastSeq, attempt);
      checkTime(attempt);
    }
  }

  async *watch(prefix: string, signal: AbortSignal): AsyncGenerator<LeaseChange, void, undefined> {
    check.prefix(prefix);
    signal.throwIfAborted();
    const end = new AbortController();
    const abort = () => end.abort(signal.reason);
    signal.addEventListener("abort", abort);
    const watcher: Watcher = { prefix, changes: new LatestQueue(), end };
    try {
      await outcome(this.#current(), signal);
      for (const held of this.#mirror.all()) if (held.key.startsWith(prefix)) watcher.changes.set(held.key, putOf(held));
      watcher.changes.set("", { case: "current" });
      this.#watchers.add(watcher);
      yield* watcher.changes.read(end.signal);
    } finally {
      signal.removeEventListener("abort", abort);
      this.#watchers.delete(watcher);
    }
  }

  /** Ends all who wait, after the link has been closed. */
  close(): void {
    this.#mirror.close();
    for (const { end } of this.#watchers) end.abort(storeClosed());
  }

  async #ready(): Promise<void> {
    if (this.#link.closed) throw storeClosed();
    await this.#mirror.ready();
  }

  async #current(): Promise<void> {
    await this.#ready();
    await this.#mirror.caughtUp();
  }

  #leaseOf({ key, revision }: Held, ttlMs: number, takenMs: number): Lease {
    // Counted from before it was asked for, and by this process alone: its holder takes it for lost before anybody can have it.
    let endMs = takenMs + ttlMs;
    let last: Promise<unknown> = Promise.resolve();
    const inTurn = (step: () => Promise<void>): Promise<void> => {
      const done = last.then(step);
      last = done.catch(() => {}); // the caller is told
      return done;
    };
    return {
      revision,
      renew: (value) =>
        inTurn(async () => {
          if (value !== undefined) check.value(key, value);
          const sentMs = performance.now();
          if (sentMs >= endMs) throw leaseLost(key, revision);
          await this.#renew({ key, revision }, ttlMs, value);
          endMs = sentMs + ttlMs;
        }),
      release: () => inTurn(() => this.#release({ key, revision })),
    };
  }

  async #renew({ key, revision }: Pick<Held, "key" | "revision">, ttlMs: number, value: Uint8Array | undefined): Promise<void> {
    const attempt = attemptOn(key);
    for (;;) {
      if (this.#link.closed) throw storeClosed();
      const held = this.#mirror.get(key);
      if (held?.revision !== revision) throw leaseLost(key, revision);
      const record: LeaseRecord = { kind: "renewed", revision, ttlMs, untilMs: held.endMs, isNews: value !== undefined };
      const seq = await this.#store(key, { record, value: value ?? held.value, expectedSeq: held.seq }, attempt);
      await this.#mirror.reach(seq ?? (await this.#lastSeq(key, attempt)), attempt);
      if (seq !== undefined) {
        if (this.#mirror.get(key)?.revision !== revision) throw leaseLost(key, revision); // it came too late
        return;
      }
      checkTime(attempt);
    }
  }

  async #release({ key, revision }: Pick<Held, "key" | "revision">): Promise<void> {
    const attempt = attemptOn(key);
    for (;;) {
      const held = this.#mirror.get(key);
      if (held?.revision !== revision) return;
      const seq = await this.#store(
        key,
        { record: { kind: "released", revision }, value: empty, expectedSeq: held.seq },
        attempt,
      );
      await this.#mirror.reach(seq ?? (await this.#lastSeq(key, attempt)), attempt);
      checkTime(attempt);
    }
  }

  #store(
    key: string,
    { record, value, expectedSeq }: { record: LeaseRecord; value: Uint8Array; expectedSeq: number },
    attempt: Attempt,
  ): Promise<number | undefined> {
    const headers = { [leaseHeader]: leaseText(record) };
    const ttlSeconds = keptSeconds(record);
    return this.#link.store({ place: this.#layout.lease(key), data: value, headers, expectedSeq, ttlSeconds }, attempt);
  }

  async #lastSeq(key: string, attempt: Attempt): Promise<number> {
    return (await this.#link.last(this.#layout.lease(key), attempt))?.seq ?? 0;
  }
}

function attemptOn(key: string): Attempt {
  return { what: `lease "${key}"`, untilMs: performance.now() + natsBounds.retryMs };
}

/** Others are quicker, again and again, or the key's record is none of ours. */
function checkTime({ what, untilMs }: Attempt): void {
  if (performance.now() > untilMs) throw noAnswer(what, undefined);
}

function putOf({ key, value, revision }: Held): LeaseChange {
  return { case: "put", key, value, revision };
}

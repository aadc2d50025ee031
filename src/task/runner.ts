import { ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import { createBackoff, type Due, pause, taskBounds, timers, unavailable } from "../core/index.ts";
import { isLeaseHeld, isLeaseLost, type Lease, type Store } from "../store/index.ts";
import { newId } from "./id.ts";

const runnersPrefix = "runner/";
const nothing = new Uint8Array();
/** A server that was killed and is started again on the same file goes on with its tasks at once. */
const leaseTerm = { ttlMs: taskBounds.runnerTtlMs, endsWithProcess: true };

export interface RunnerOptions {
  readonly store: Store;
  readonly log: Logger;
  /** The lease has ended: whatever ran under it may be another server's by now. */
  readonly onLost: () => void;
}

export interface RunnerListener {
  /** A runner's lease has ended. */
  ended(id: string): void;
  /** These are all that live; after the store was away, ends may have been missed. */
  current(living: ReadonlySet<string>): void;
}

interface Claim {
  readonly lease: Promise<Lease | undefined>;
  users: number;
}

/**
 * This process, to those that share its store: one lease for all tasks that it runs. A task whose runner's key can be taken has lost its server.
 *
 * Clocks are compared with nobody's: the lease counts as over here from `ttlMs` after its last renewal was begun, and that is before the store ends it.
 */
export class Runner {
  readonly #options: RunnerOptions;
  #id = newId();
  #lease: Lease | undefined;
  #validUntilMs = 0;
  #taking: Promise<void> | undefined;
  #renewing: Promise<void> | undefined;
  #renewal: Due | undefined;
  #closed = false;
  /** Keys of other runners, while this server takes over from them. */
  readonly #claims = new Map<string, Claim>();
  readonly #backoff = createBackoff({ initialMs: 100, maxMs: 1_000 });

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  /** Another one after each lease that was lost. */
  get id(): string {
    return this.#id;
  }

  /** True when tasks can be begun without waiting. */
  get isReady(): boolean {
    return this.#lease !== undefined && performance.now() < this.#validUntilMs;
  }

  /** Takes the lease, if it is not held. @throws ConnectError what the store throws. */
  async ready(): Promise<void> {
    if (this.isReady) return;
    if (this.#lease !== undefined && (await this.isValid())) return;
    this.#taking ??= this.#take().finally(() => {
      this.#taking = undefined;
    });
    await this.#taking;
  }

  /**
   * True while nobody else can have taken over; after a long sleep, and when the store was away for long, it is asked.
   *
   * @throws ConnectError what the store throws when it does not say.
   */
  isValid(): boolean | Promise<boolean> {
    if (performance.now() < this.#validUntilMs) return true;
    return this.#lease === undefined ? false : this.#confirm();
  }

  /** A renewal that took longer than the lease lasts says nothing of now. */
  async #confirm(): Promise<boolean> {
    const giveUpMs = performance.now() + taskBounds.awayPatienceMs;
    while (this.#lease !== undefined && performance.now() >= this.#validUntilMs) {
      if (performance.now() > giveUpMs) throw unavailable("the tasks' store is slower than leases last", 1_000);
      await this.#renew();
    }
    return this.#lease !== undefined;
  }

  /**
   * Takes over from another runner, whose lease has to be over for that, so that it can never renew it. What this server takes over from it at the
   * same time shares its key.
   *
   * @returns what gives its key back when all is done; undefined while it lives.
   * @throws ConnectError what the store throws.
   */
  async takeOver(id: string): Promise<Pick<Lease, "release"> | undefined> {
    const claim = this.#claims.get(id) ?? { lease: this.#claim(id), users: 0 };
    this.#claims.set(id, claim);
    claim.users++;
    const leave = async () => {
      if (--claim.users > 0) return;
      this.#claims.delete(id);
      await (await claim.lease)?.release();
    };
    try {
      if ((await claim.lease) !== undefined) return { release: leave };
    } catch (thrown) {
      await leave().catch(() => {});
      throw thrown;
    }
    await leave();
    return undefined;
  }

  async #claim(id: string): Promise<Lease | undefined> {
    try {
      return await this.#options.store.lease(runnersPrefix + id, nothing, leaseTerm);
    } catch (thrown) {
      if (isLeaseHeld(thrown)) return undefined;
      throw thrown;
    }
  }

  /** Tells of runners whose leases end, until the signal is aborted. Never throws. */
  async watch({ ended, current }: RunnerListener, signal: AbortSignal): Promise<void> {
    const idOf = (key: string) => key.slice(runnersPrefix.length);
    while (!signal.aborted) {
      try {
        const living = new Set<string>();
        for await (const change of this.#options.store.watch(runnersPrefix, { signal })) {
          if (change.case === "delete") ended(idOf(change.key));
          else if (change.case === "put") living.add(idOf(change.key));
          else current(living);
        }
      } catch (err) {
        if (signal.aborted) return;
        this.#options.log.warn({ err }, "the tasks' store is away");
        await pause(this.#backoff.nextMs(), signal);
      }
    }
  }

  /** Ends the lease: what is left undone is others' to take over. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#renewal?.cancel();
    await this.#taking?.catch(() => {});
    const lease = this.#lease;
    this.#lease = undefined;
    this.#validUntilMs = 0;
    await lease?.release().catch((err: unknown) => {
      this.#options.log.debug({ err }, "the runner's lease could not be ended; it ends in its time");
    });
  }

  async #take(): Promise<void> {
    const startMs = performance.now();
    const { store } = this.#options;
    this.#lease = await store.lease(runnersPrefix + this.#id, nothing, leaseTerm);
    this.#renewed(startMs);
  }

  #renewed(startMs: number): void {
    this.#validUntilMs = startMs + taskBounds.runnerTtlMs;
    this.#backoff.reset();
    this.#renewIn(taskBounds.runnerTtlMs / 3);
  }

  #renewIn(ms: number): void {
    this.#renewal?.cancel();
    if (!this.#closed) this.#renewal = timers.schedule(ms, () => void this.#renew().catch(() => {})); // it comes again
  }

  /** Of those who want it at once, one does it. @throws ConnectError what the store throws. */
  #renew(): Promise<void> {
    this.#renewing ??= this.#renewOnce().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renewOnce(): Promise<void> {
    const lease = this.#lease;
    if (lease === undefined) return;
    const startMs = performance.now();
    try {
      await lease.renew();
      if (this.#lease === lease) this.#renewed(startMs);
    } catch (thrown) {
      if (this.#lease !== lease) return;
      if (isLeaseLost(thrown)) return this.#lost();
      this.#options.log.warn({ err: ConnectError.from(thrown) }, "the runner's lease could not be renewed");
      this.#renewIn(this.#backoff.nextMs());
      throw thrown;
    }
  }

  #lost(): void {
    this.#options.log.warn({ runner: this.#id }, "the runner's lease has ended; its tasks may be another server's by now");
    this.#lease = undefined;
    this.#validUntilMs = 0;
    this.#renewal?.cancel();
    this.#id = newId();
    this.#options.onLost();
  }
}

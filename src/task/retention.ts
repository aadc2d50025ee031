import { setTimeout as pause } from "node:timers/promises";
import { ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import { type Limits, storeBounds, taskBounds } from "../core/index.ts";
import { isLeaseHeld, type Lease, type LogInfo, type Store } from "../store/index.ts";

export interface RetentionOptions {
  readonly store: Store;
  readonly limits: Pick<Limits, "keptTaskTtlMs" | "maxKeptTasks">;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

const leaseKey = "retention/tasks";
/** Logs that end with their tasks' time. */
const prefixes = ["task/", "conversation/"];

/**
 * Forgets the events of tasks, and the turns of conversations, that are over their time, or over the number: the oldest first. Of servers that share a
 * store one does it at a time, in small steps.
 */
export class Retention {
  readonly #options: RetentionOptions;
  /** What was appended to last before this is gone already. */
  #goneBeforeMs = 0;
  /** The number of tasks wants what was appended to last before this gone, too. */
  #overBeforeMs = 0;
  #isSweeping = false;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  /** Walks through all logs once. Never throws. */
  async sweep(): Promise<void> {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    const { store, log, signal } = this.#options;
    let lease: Lease | undefined;
    try {
      lease = await store.lease(leaseKey, new Uint8Array(), taskBounds.retentionLeaseMs);
      await this.#walk(lease);
    } catch (thrown) {
      if (!isLeaseHeld(thrown) && !signal.aborted)
        log.warn({ err: ConnectError.from(thrown) }, "old tasks could not be forgotten");
    } finally {
      this.#isSweeping = false;
      await lease?.release().catch(() => {}); // it ends in its time
    }
  }

  async #walk(lease: Lease): Promise<void> {
    const beforeMs = Math.max(Date.now() - this.#options.limits.keptTaskTtlMs, this.#overBeforeMs);
    const ages = new Ages();
    for (const prefix of prefixes) {
      for await (const page of this.#pages(prefix)) {
        await lease.renew();
        for (const info of page) {
          if (info.lastAppendMs >= beforeMs) ages.add(prefix, info.lastAppendMs);
          else if (info.lastAppendMs >= this.#goneBeforeMs) await this.#options.store.trim(info.name, info.length);
        }
      }
    }
    this.#goneBeforeMs = beforeMs;
    this.#overBeforeMs = ages.oldestOf("task/", this.#options.limits.maxKeptTasks);
  }

  /** All logs, at a tenth of the speed that the store can give them. */
  async *#pages(prefix: string): AsyncGenerator<readonly LogInfo[], void, undefined> {
    const { store, signal } = this.#options;
    for (let after = ""; ; ) {
      const startMs = performance.now();
      const page = await store.logs(prefix, { limit: storeBounds.maxLogsPage, ...(after !== "" && { after }) });
      if (page.length === 0) return;
      yield page;
      after = page.at(-1)?.name ?? "";
      await pause(9 * (performance.now() - startMs), undefined, { signal });
    }
  }
}

const bucketMs = 60_000;

/** How many logs were appended to last in each minute: enough to say how old the oldest may be, in little memory. */
class Ages {
  readonly #counts = new Map<string, Map<number, number>>();

  add(prefix: string, lastAppendMs: number): void {
    const bucket = Math.floor(lastAppendMs / bucketMs);
    const counts = this.#counts.get(prefix) ?? new Map<number, number>();
    this.#counts.set(prefix, counts.set(bucket, (counts.get(bucket) ?? 0) + 1));
  }

  /** From when on there are at most `most`; 0 when all are no more. To the minute: of the youngest minute all stay. */
  oldestOf(prefix: string, most: number): number {
    const buckets = [...(this.#counts.get(prefix) ?? [])].sort(([one], [other]) => other - one);
    let count = 0;
    for (const [index, [bucket, added]] of buckets.entries()) {
      count += added;
      if (count > most && index > 0) return (bucket + 1) * bucketMs;
    }
    return 0;
  }
}

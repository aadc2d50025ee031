import { setImmediate as turn } from "node:timers/promises";
import { sqliteBounds } from "../../core/index.ts";
import { check } from "../check.ts";
import type { Lease, LeaseChange, LeaseTerm } from "../store.ts";
import { LeaseWatcher } from "./lease-watcher.ts";
import type { StoreParts } from "./logs.ts";
import type { Presence } from "./presence.ts";

/** The leases of a store in a file. */
export class SqliteLeases {
  readonly #parts: StoreParts;
  readonly #bePresent: () => Presence | undefined;
  #presence: Presence | undefined;
  readonly #watchers = new Set<LeaseWatcher>();
  /** The last change that the watchers know of. */
  #told = 0;
  #isTelling = false;
  #isClosed = false;

  /** @param bePresent begins to show that this process lives. */
  constructor(parts: StoreParts, bePresent: () => Presence | undefined) {
    this.#parts = parts;
    this.#bePresent = bePresent;
  }

  get isWatched(): boolean {
    return this.#watchers.size > 0;
  }

  async lease(key: string, value: Uint8Array, term: number | LeaseTerm): Promise<Lease> {
    check.name("key", key);
    check.value(key, value);
    const ttlMs = check.term(term);
    const endsWithProcess = typeof term === "object" && term.endsWithProcess === true;
    const { writer, checkOpen } = this.#parts;
    checkOpen();
    if (endsWithProcess) this.#presence ??= this.#bePresent();
    const { name: holder } = (endsWithProcess && this.#presence) || {};
    const arrays = holder === undefined ? [value] : [value, Buffer.from(holder)];
    const number = await writer.perform({ kind: "lease", name: key, number: ttlMs, arrays });
    return {
      revision: BigInt(number),
      renew: async (value) => {
        if (value !== undefined) check.value(key, value);
        await writer.perform({ kind: "renew", name: key, number, arrays: value === undefined ? [] : [value] });
      },
      release: async () => void (await writer.perform({ kind: "release", name: key, number, arrays: [] })),
    };
  }

  async *watch(prefix: string, signal: AbortSignal): AsyncGenerator<LeaseChange, void, undefined> {
    check.prefix(prefix);
    signal.throwIfAborted();
    this.#parts.checkOpen();
    const watcher = new LeaseWatcher(prefix, signal);
    if (!this.isWatched) this.#told = this.#parts.reader.lastChange();
    this.#watchers.add(watcher);
    this.#parts.onWait();
    void this.#list(watcher);
    try {
      yield* watcher.read();
    } finally {
      this.#watchers.delete(watcher);
      watcher.stop();
    }
  }

  /** This process or another has changed leases. */
  changed(): void {
    if (this.isWatched && !this.#isTelling && !this.#isClosed) void this.#tell();
  }

  /** The watches end with an error, and nothing is read any more. */
  close(error: unknown): void {
    this.#isClosed = true;
    this.#fail(error);
    this.#presence?.close();
  }

  #fail(error: unknown): void {
    for (const watcher of this.#watchers) watcher.fail(error);
  }

  async #tell(): Promise<void> {
    this.#isTelling = true;
    try {
      while (this.isWatched && !this.#isClosed && !this.#tellPage()) await turn(undefined, { ref: false });
    } catch (thrown) {
      this.#fail(thrown);
    } finally {
      this.#isTelling = false;
    }
  }

  /** Tells the watchers of a page of changes. True when they are up to date. */
  #tellPage(): boolean {
    const { reader } = this.#parts;
    // Of those that ended before the ones that are remembered nobody tells: all that live are compared.
    if (reader.lastChange() - this.#told > sqliteBounds.maxEndedLeases) {
      this.#told = reader.lastChange();
      for (const watcher of this.#watchers) {
        watcher.beginAnew();
        setImmediate(() => void this.#list(watcher)).unref(); // not in the snapshot that may be open here
      }
    }
    const rows = reader.leasesChanged(this.#told);
    for (const row of rows) for (const watcher of this.#watchers) watcher.tell(row);
    this.#told = rows.at(-1)?.change ?? this.#told;
    return rows.length < sqliteBounds.pageLeases;
  }

  /**
   * Tells a watcher what there is, page by page. A page and the changes before it are read from one state of the file: so the
   * watcher hears of later changes to keys of the page, and of none to keys that are still to come.
   */
  async #list(watcher: LeaseWatcher): Promise<void> {
    const { reader } = this.#parts;
    const round = watcher.round;
    try {
      while (!watcher.isStopped && watcher.round === round) {
        const isLast = reader.together(() => {
          if (!this.#tellPage()) return false;
          return watcher.round === round && watcher.list(reader.leases(watcher.prefix, watcher.cursor));
        });
        if (isLast) return;
        await turn(undefined, { ref: false });
      }
    } catch (thrown) {
      watcher.fail(thrown);
    }
  }
}

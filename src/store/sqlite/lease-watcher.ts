import { LatestQueue, sqliteBounds } from "../../core/index.ts";
import type { LeaseChange } from "../store.ts";
import type { LeaseRow } from "./reader.ts";

/** One who watches leases: first those that are there are listed to it, key by key, and it is told of changes up to where the list is. */
export class LeaseWatcher {
  readonly prefix: string;
  /** By key; the `current`, which has none, by the empty one, which no lease can have. */
  readonly #changes = new LatestQueue<string, LeaseChange>();
  readonly #signal: AbortSignal;
  readonly #end = new AbortController();
  /** The revisions of those that it takes to live. */
  readonly #live = new Map<string, number>();
  /** Of a list that has begun anew: those that it has not met. */
  #unmet: Map<string, number> | undefined;
  #isListed = false;
  #isCurrent = false;
  #cursor = "";
  #round = 0;

  constructor(prefix: string, signal: AbortSignal) {
    this.prefix = prefix;
    this.#signal = signal;
    signal.addEventListener("abort", this.#abort);
  }

  get isStopped(): boolean {
    return this.#end.signal.aborted;
  }

  /** The last key that was listed. */
  get cursor(): string {
    return this.#cursor;
  }

  /** Which list is going on. */
  get round(): number {
    return this.#round;
  }

  read(): AsyncGenerator<LeaseChange, never, undefined> {
    return this.#changes.read(this.#end.signal);
  }

  /** Takes the next page of the list. True when it is the last one. */
  list(rows: readonly LeaseRow[]): boolean {
    for (const row of rows) this.#set(row);
    this.#cursor = rows.at(-1)?.key ?? this.#cursor;
    if (rows.length === sqliteBounds.pageLeases) return false;
    this.#isListed = true;
    for (const [key, revision] of this.#unmet ?? [])
      this.#set({ key, revision, change: 0, endMs: null, value: new Uint8Array() });
    this.#unmet = undefined;
    if (!this.#isCurrent) this.#changes.set("", { case: "current" });
    this.#isCurrent = true;
    return true;
  }

  /** Takes a change, if its key is listed. */
  tell(row: LeaseRow): void {
    if (row.key.startsWith(this.prefix) && (this.#isListed || row.key <= this.#cursor)) this.#set(row);
  }

  /** Changes may have been missed: all that live are to be listed again, and what is not among them has ended. */
  beginAnew(): void {
    this.#round++;
    this.#isListed = false;
    this.#cursor = "";
    this.#unmet = new Map(this.#live);
  }

  /** Ends the reading with an error. */
  fail(error: unknown): void {
    this.#end.abort(error);
  }

  /** It is read no more. */
  stop(): void {
    this.#signal.removeEventListener("abort", this.#abort);
    this.fail(undefined);
  }

  readonly #abort = () => this.fail(this.#signal.reason);

  #set({ key, revision, endMs, value }: LeaseRow): void {
    this.#unmet?.delete(key);
    if (endMs === null) {
      this.#live.delete(key);
      this.#changes.set(key, { case: "delete", key, revision: BigInt(revision) });
    } else {
      this.#live.set(key, revision);
      this.#changes.set(key, { case: "put", key, value: new Uint8Array(value), revision: BigInt(revision) });
    }
  }
}

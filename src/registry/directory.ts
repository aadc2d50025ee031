import type { RegisteredAgent } from "../contract/index.ts";
import { waitFor } from "../core/index.ts";
import type { LeaseChange } from "../store/index.ts";
import { placeOfKey, readLoad, readRecord, writeRevision } from "./record.ts";

/** A registration as the directory holds it. Nobody else changes the message, and it changes the load alone. */
export interface DirectoryEntry {
  /** The key of its lease in the store. */
  readonly key: string;
  /** The place that it holds: the lease's id. */
  readonly place: string;
  readonly revision: bigint;
  readonly agent: RegisteredAgent;
  /** The value of its lease as it is now, and what is put behind it to say the revision. */
  value: Uint8Array;
  readonly revisionBytes: Uint8Array;
}

/** What listeners are told, before anybody can ask for it. */
export type DirectoryChange =
  /** The entry is there; `loadOnly` when it was there before and is only more or less busy now. */
  | { readonly case: "put"; readonly entry: DirectoryEntry; readonly loadOnly: boolean }
  | { readonly case: "delete"; readonly entry: DirectoryEntry };

type LeaseState = Exclude<LeaseChange, { case: "current" }>;

/**
 * The registrations that live, by place, capability and name, built from the leases of a store and thrown away with the process. Of several
 * leases on one place the highest revision counts; the others are over.
 */
export class Directory {
  readonly #entries = new Map<string, DirectoryEntry>();
  readonly #byCapability = new Index();
  readonly #byName = new Index();
  readonly #contracts = new Map<string, number>();
  readonly #listeners = new Set<(change: DirectoryChange) => void>();
  /** Those who wait for a lease to be seen, by its key. */
  readonly #awaited = new Map<string, () => void>();

  get size(): number {
    return this.#entries.size;
  }

  /** The registration that holds a place. */
  get(place: string): DirectoryEntry | undefined {
    return this.#entries.get(place);
  }

  /** The registrations of a capability, of a name, or all; no more of one query's conditions than that. */
  find({ capability = "", agent = "" }: { capability?: string; agent?: string }): Iterable<DirectoryEntry> {
    if (agent !== "") return this.#byName.get(agent);
    return capability === "" ? this.#entries.values() : this.#byCapability.get(capability);
  }

  /** True when a registration that lives names this contract. */
  serves(contractSha256: string): boolean {
    return this.#contracts.has(contractSha256);
  }

  /** @returns what forgets the listener. */
  onChange(listener: (change: DirectoryChange) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Takes in what the store tells of a lease. */
  apply(change: LeaseState): void {
    if (change.case === "put") this.#put(change);
    else this.#delete(change);
    this.#awaited.get(change.key)?.();
  }

  /** Drops what has no lease any more: the store was away, and ends were missed. */
  keepOnly(keys: ReadonlySet<string>): void {
    for (const entry of [...this.#entries.values()]) if (!keys.has(entry.key)) this.#remove(entry);
  }

  /** Waits until a lease that was just taken is found, or one after it on the same place. @throws what `signal` is aborted with. */
  async seen(place: string, lease: { key: string; revision: bigint }, signal: AbortSignal): Promise<void> {
    if ((this.#entries.get(place)?.revision ?? -1n) >= lease.revision) return;
    await waitFor(signal, (wake) => {
      this.#awaited.set(lease.key, wake);
      return () => this.#awaited.delete(lease.key);
    });
  }

  #put({ key, value, revision }: Extract<LeaseState, { case: "put" }>): void {
    const place = placeOfKey(key);
    const before = this.#entries.get(place);
    if (before !== undefined && before.revision > revision) return;
    if (before?.revision === revision) {
      const load = readLoad(value);
      if (load !== undefined) before.agent.load = load;
      before.value = value;
      this.#tell({ case: "put", entry: before, loadOnly: true });
      return;
    }
    const agent = readRecord(value, revision);
    if (agent === undefined) return;
    const entry: DirectoryEntry = { key, place, revision, agent, value, revisionBytes: writeRevision(revision) };
    this.#entries.set(place, entry);
    if (before !== undefined) this.#count(before, -1);
    this.#count(entry, 1);
    this.#index(entry, before);
    this.#tell({ case: "put", entry, loadOnly: false });
  }

  #delete({ key, revision }: Extract<LeaseState, { case: "delete" }>): void {
    const entry = this.#entries.get(placeOfKey(key));
    if (entry?.key === key && entry.revision <= revision) this.#remove(entry);
  }

  #remove(entry: DirectoryEntry): void {
    this.#entries.delete(entry.place);
    this.#count(entry, -1);
    const { name = "", capabilities = [] } = entry.agent.registration?.agent ?? {};
    this.#byName.delete(name, entry.place);
    for (const capability of capabilities) this.#byCapability.delete(capability, entry.place);
    this.#tell({ case: "delete", entry });
  }

  #index(entry: DirectoryEntry, before: DirectoryEntry | undefined): void {
    const { name = "", capabilities = [] } = entry.agent.registration?.agent ?? {};
    for (const capability of before?.agent.registration?.agent?.capabilities ?? []) {
      if (!capabilities.includes(capability)) this.#byCapability.delete(capability, entry.place);
    }
    this.#byName.set(name, entry);
    for (const capability of capabilities) this.#byCapability.set(capability, entry);
  }

  #count({ agent }: DirectoryEntry, by: 1 | -1): void {
    const hash = agent.registration?.contractSha256 ?? "";
    const count = (this.#contracts.get(hash) ?? 0) + by;
    if (count > 0) this.#contracts.set(hash, count);
    else this.#contracts.delete(hash);
  }

  #tell(change: DirectoryChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}

/** Entries by a word, then by place. */
class Index {
  readonly #words = new Map<string, Map<string, DirectoryEntry>>();

  get(word: string): Iterable<DirectoryEntry> {
    return this.#words.get(word)?.values() ?? [];
  }

  set(word: string, entry: DirectoryEntry): void {
    const entries = this.#words.get(word);
    if (entries === undefined) this.#words.set(word, new Map([[entry.place, entry]]));
    else entries.set(entry.place, entry);
  }

  delete(word: string, place: string): void {
    const entries = this.#words.get(word);
    entries?.delete(place);
    if (entries?.size === 0) this.#words.delete(word);
  }
}

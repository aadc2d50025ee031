import { setImmediate } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import type { ThreadEntry } from "../contract/index.ts";
import { isThreadDamaged, memoryBounds, outOfRange, threadDamaged } from "../core/index.ts";
import type { Store } from "../store/index.ts";
import { readRecord } from "./entry.ts";

/** Every thread is a log of the store, under its name below this. */
export const threadsPrefix = "thread/";

export interface ReadThreadOptions {
  readonly from: number;
  /** The sha256 of the entry before; empty for entry 0. Default: not known, and then not checked. */
  readonly previousSha256?: string | undefined;
  /** Waits for what is to come. Default false. */
  readonly follow?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The entries of a thread, each checked against its hash and the one before. Others have a turn in between, whatever the store.
 *
 * @throws ConnectError DATA_LOSS that names the entry that is damaged; OUT_OF_RANGE when the next one is not kept any more; what the
 *   store throws and `signal` is aborted with.
 */
export async function* readThread(
  store: Store,
  thread: string,
  { from, previousSha256 = from === 0 ? "" : undefined, follow = false, signal }: ReadThreadOptions,
): AsyncGenerator<ThreadEntry, void, undefined> {
  let number = from;
  let previous = previousSha256;
  let bytes = 0;
  try {
    for await (const record of store.read(threadsPrefix + thread, from, { follow, ...(signal && { signal }) })) {
      const entry = readRecord(record, { thread, number, previousSha256: previous });
      yield entry;
      number++;
      previous = entry.sha256;
      bytes += record.byteLength + memoryBounds.recordOverheadBytes;
      if (bytes < memoryBounds.turnBytes) continue;
      bytes = 0;
      await setImmediate();
    }
  } catch (thrown) {
    throw explain(thrown, thread, number);
  }
}

/** Says what the store says of a log, of a thread. */
function explain(thrown: unknown, thread: string, number: number): unknown {
  if (!(thrown instanceof ConnectError)) return thrown;
  if (isTrimmed(thrown)) return outOfRange(`entry ${number} of thread "${thread}" is not kept any more`);
  const isUnnamed = thrown.code === Code.DataLoss && !isThreadDamaged(thrown);
  return isUnnamed ? threadDamaged({ thread, number, why: thrown.rawMessage, cause: thrown }) : thrown;
}

/** True when an entry was asked for that is not kept any more. */
export function isTrimmed(thrown: unknown): boolean {
  return thrown instanceof ConnectError && thrown.code === Code.OutOfRange;
}

/** How many entries a thread has had. */
export async function threadLength(store: Store, thread: string): Promise<number> {
  const log = threadsPrefix + thread;
  const [info] = await store.logs(log, { limit: 1 }); // of all names that begin so, its own comes first
  return info?.name === log ? info.length : 0;
}

/** The number of the first entry that is kept; the length of a thread of which none is. Found by halving, as a store does not tell. */
export async function firstKept(store: Store, thread: string, signal?: AbortSignal): Promise<number> {
  let [gone, kept] = [-1, await threadLength(store, thread)];
  while (kept - gone > 1) {
    const middle = Math.floor((gone + kept) / 2);
    if (await isKept(store, { thread, number: middle, signal })) kept = middle;
    else gone = middle;
  }
  return kept;
}

async function isKept(store: Store, at: { thread: string; number: number; signal: AbortSignal | undefined }): Promise<boolean> {
  const { thread, number, signal } = at;
  try {
    for await (const _record of store.read(threadsPrefix + thread, number, signal && { signal })) break;
    return true;
  } catch (thrown) {
    if (isTrimmed(thrown)) return false;
    throw thrown;
  }
}

/** One entry of a thread. @throws ConnectError as {@link readThread}; OUT_OF_RANGE also when it is not there. */
export async function readEntry(store: Store, thread: string, number: number): Promise<ThreadEntry> {
  for await (const entry of readThread(store, thread, { from: number })) return entry;
  throw outOfRange(`thread "${thread}" has no entry ${number}`);
}

import type { Store } from "convoke";

/** What could be seen of a store's commits since they were asked for last. */
export interface CommitsReply {
  readonly commits: number;
  readonly appends: number;
  readonly entries: number;
  /** From the call of an append to its acknowledgement, all of them together. */
  readonly waitedMs: number;
}

/** A store, and what its commits are like from outside: appends that are acknowledged in one turn of the event loop were one. */
export function watchCommits(store: Store): { readonly store: Store; takeCommits(): CommitsReply } {
  let seen = { commits: 0, appends: 0, entries: 0, waitedMs: 0 };
  let isCounted = false;
  const append: Store["append"] = async (log, entries, options) => {
    const startMs = performance.now();
    const length = await store.append(log, entries, options);
    seen.appends++;
    seen.entries += entries.length;
    seen.waitedMs += performance.now() - startMs;
    if (isCounted) return length;
    seen.commits++;
    isCounted = true;
    setImmediate(() => {
      isCounted = false;
    });
    return length;
  };
  return {
    store: { ...store, append },
    takeCommits() {
      const taken = seen;
      seen = { commits: 0, appends: 0, entries: 0, waitedMs: 0 };
      return taken;
    },
  };
}

import type { Logger } from "pino";
import { createBackoff, pause } from "../core/index.ts";
import type { Store } from "../store/index.ts";
import type { Directory } from "./directory.ts";
import { agentsPrefix } from "./record.ts";

export interface FollowOptions {
  readonly store: Store;
  /** Ends it. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Told when the directory holds all that the store does; again after the store was away. */
  readonly onCurrent: () => void;
}

/** Keeps a directory like the store, until the signal is aborted. While the store is away the directory stays as it was. Never throws. */
export async function follow(directory: Directory, { store, signal, log, onCurrent }: FollowOptions): Promise<void> {
  const backoff = createBackoff();
  while (!signal.aborted) {
    try {
      let snapshot: Set<string> | undefined = new Set();
      for await (const change of store.watch(agentsPrefix, { signal })) {
        if (change.case !== "current") {
          if (change.case === "put") snapshot?.add(change.key);
          directory.apply(change);
          continue;
        }
        if (snapshot !== undefined) directory.keepOnly(snapshot);
        snapshot = undefined;
        backoff.reset();
        onCurrent();
      }
    } catch (err) {
      if (signal.aborted) return;
      const waitMs = backoff.nextMs();
      log.warn({ err, waitMs: Math.round(waitMs) }, "the registry's store is away");
      await pause(waitMs, signal);
    }
  }
}

import { createHash } from "node:crypto";
import type { ThreadEntry } from "../contract/index.ts";
import { chainBytes, chainFault, threadDamaged } from "../core/index.ts";
import type { MemoryCallOptions, MemoryThread, ThreadState } from "../web/index.ts";

export interface ThreadVerifyOptions extends MemoryCallOptions {
  /** The first entry to look at; the one before is not. Default 0. */
  readonly from?: number;
  /** An entry that was seen before: that one has to be in its place. Default: none. */
  readonly known?: Pick<ThreadEntry, "number" | "sha256">;
}

/** A thread of shared memory, as Node has it. */
export interface VerifiedThread extends MemoryThread {
  /**
   * Reads the thread and computes each hash here, so that the server need not be trusted for what was seen of the thread before.
   *
   * @throws ConnectError DATA_LOSS, reason THREAD_DAMAGED, that names the first entry that does not fit.
   */
  verify(options?: ThreadVerifyOptions): Promise<ThreadState>;
}

/** Adds the walk along the chain. */
export function verified(thread: MemoryThread): VerifiedThread {
  return { ...thread, verify: (options = {}) => verify(thread, options) };
}

async function verify(thread: MemoryThread, { from = 0, known, ...options }: ThreadVerifyOptions): Promise<ThreadState> {
  if (known !== undefined && known.number < from)
    throw new RangeError(`entry ${known.number} is known, but ${from} is the first that is looked at`);
  let [number, sha256] = [from, ""];
  for await (const entry of thread.read({ ...options, from })) {
    const previousSha256 = number === from && from > 0 ? undefined : sha256;
    const computedSha256 = createHash("sha256").update(chainBytes(thread.name, entry)).digest("hex");
    const fault = chainFault(entry, { number, previousSha256, computedSha256 });
    const isOther = known?.number === number && known.sha256 !== entry.sha256;
    const why = fault ?? (isOther ? "it is another entry than was known" : undefined);
    if (why !== undefined) throw threadDamaged({ thread: thread.name, number, why });
    [number, sha256] = [number + 1, entry.sha256];
  }
  if (known !== undefined && known.number >= number) {
    throw threadDamaged({ thread: thread.name, number, why: `it is missing, and entry ${known.number} was known` });
  }
  return { first: from, length: number, sha256 };
}

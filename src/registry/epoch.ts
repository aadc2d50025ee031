import { randomUUID } from "node:crypto";
import { isLengthConflict, type Store } from "../store/index.ts";

const epochLog = "registry/epoch";

/**
 * The name of a store's state: whoever asks first makes it, and it stays as long as the state does. So a store that lost everything, as one in
 * a process does when it ends, has another name afterwards.
 */
export async function ensureEpoch(store: Store): Promise<string> {
  try {
    await store.append(epochLog, [Buffer.from(randomUUID())], { expectedLength: 0 });
  } catch (thrown) {
    if (!isLengthConflict(thrown)) throw thrown;
  }
  for await (const entry of store.read(epochLog, 0)) return Buffer.from(entry).toString();
  throw new Error("an entry that was appended can be read"); // the store contract says so
}

import { ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import { createBackoff, type Due, taskBounds, timers } from "../core/index.ts";
import { isLeaseHeld, isLeaseLost, type Lease, type Store } from "../store/index.ts";

/** What one server asks of another that runs a task. */
export type Wish = "attend" | "cancel" | "leave";

/** Where a wish is left: leases, which end with whoever left them. */
interface NoteInit {
  readonly store: Store;
  /** The server that runs the task. */
  readonly to: string;
  readonly wish: Wish;
  /** The task's log. */
  readonly task: string;
  /** The server that asks. */
  readonly from: string;
  /** It ends by itself. Default false: it is there until it is withdrawn. */
  readonly isShort?: boolean;
}

const notesPrefix = "note/";
const nothing = new Uint8Array();

/** A wish that holds until it is taken back, or its server dies. */
export interface Note {
  withdraw(): Promise<void>;
}

/** Leaves a wish. @throws ConnectError what the store throws. */
export async function leaveNote({ store, to, wish, task, from, isShort = false }: NoteInit): Promise<Note> {
  const key = `${notesPrefix}${to}/${wish}/${from}/${task}`;
  let due: Due | undefined;
  let isOver = false;
  let lease = await take(store, key);
  const later = (ms: number) => {
    if (!isOver && !isShort) due = timers.schedule(ms, () => void hold().catch(() => later(retryMs)));
  };
  const hold = async () => {
    if (lease === undefined) lease = await take(store, key);
    else await lease.renew().catch(forget);
    if (isOver) await lease?.release();
    later(lease === undefined ? retryMs : taskBounds.noteTtlMs / 3);
  };
  const forget = (thrown: unknown) => {
    if (!isLeaseLost(thrown)) throw thrown;
    lease = undefined;
  };
  later(lease === undefined ? retryMs : taskBounds.noteTtlMs / 3);
  return {
    async withdraw() {
      isOver = true;
      due?.cancel();
      await lease?.release().catch(() => {}); // it ends in its time
    },
  };
}

/** After which a wish is left that could not be: the same one of this server was just being taken back, or the store was away. */
const retryMs = 200;

/** Undefined when the same wish of the same server is there. */
async function take(store: Store, key: string): Promise<Lease | undefined> {
  try {
    return await store.lease(key, nothing, taskBounds.noteTtlMs);
  } catch (thrown) {
    if (isLeaseHeld(thrown)) return undefined;
    throw thrown;
  }
}

export interface NoteListener {
  /** A wish is there. */
  left(wish: Wish, task: string, from: string): void;
  /** It is not there any more. */
  withdrawn(wish: Wish, task: string, from: string): void;
}

/** Tells of the wishes that are left for a server, until the signal is aborted. Never throws. */
export async function readNotes(
  { store, to, log }: { store: Store; to: string; log: Logger },
  listener: NoteListener,
  signal: AbortSignal,
): Promise<void> {
  const prefix = `${notesPrefix}${to}/`;
  const backoff = createBackoff({ initialMs: 100, maxMs: 2_000 });
  while (!signal.aborted) {
    try {
      for await (const change of store.watch(prefix, { signal })) {
        if (change.case === "current") continue;
        const [, wish = "", from = "", task = ""] = /^([^/]+)\/([^/]+)\/(.+)$/.exec(change.key.slice(prefix.length)) ?? [];
        if (wish !== "attend" && wish !== "cancel" && wish !== "leave") continue;
        if (change.case === "put") listener.left(wish, task, from);
        else listener.withdrawn(wish, task, from);
      }
    } catch (err) {
      if (signal.aborted) return;
      log.warn({ err: ConnectError.from(err) }, "the tasks' store is away");
      await new Promise<void>((resolve) => void timers.schedule(backoff.nextMs(), resolve));
    }
  }
}

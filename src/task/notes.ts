import { ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import { createBackoff, type Due, pause, taskBounds, timers } from "../core/index.ts";
import { isLeaseLost, type Store } from "../store/index.ts";
import { newId } from "./id.ts";

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
  /** It ends by itself. Default false: it is there until it is withdrawn. */
  readonly isShort?: boolean;
}

const notesPrefix = "note/";
const nothing = new Uint8Array();

/** A wish that holds until it is taken back, or its server dies. */
export interface Note {
  withdraw(): Promise<void>;
}

/** Leaves a wish. Each has an id, so that none goes with another of the same server. @throws ConnectError what the store throws. */
export async function leaveNote({ store, to, wish, task, isShort = false }: NoteInit): Promise<Note> {
  const key = `${notesPrefix}${to}/${wish}/${newId()}/${task}`;
  let renewal: Due | undefined;
  let isOver = false;
  const lease = await store.lease(key, nothing, taskBounds.noteTtlMs);
  const renewLater = () => {
    if (!isOver && !isShort) renewal = timers.schedule(taskBounds.noteTtlMs / 3, renew);
  };
  const renew = () =>
    void lease.renew().then(renewLater, (thrown: unknown) => (isLeaseLost(thrown) ? undefined : renewLater()));
  renewLater();
  return {
    async withdraw() {
      isOver = true;
      renewal?.cancel();
      await lease.release().catch(() => {}); // it ends in its time
    },
  };
}

export interface NoteListener {
  /** A wish is there. */
  left(wish: Wish, task: string, id: string): void;
  /** It is not there any more. */
  withdrawn(wish: Wish, task: string, id: string): void;
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
        const [, wish = "", id = "", task = ""] = /^([^/]+)\/([^/]+)\/(.+)$/.exec(change.key.slice(prefix.length)) ?? [];
        if (wish !== "attend" && wish !== "cancel" && wish !== "leave") continue;
        if (change.case === "put") listener.left(wish, task, id);
        else listener.withdrawn(wish, task, id);
      }
    } catch (err) {
      if (signal.aborted) return;
      log.warn({ err: ConnectError.from(err) }, "the tasks' store is away");
      await pause(backoff.nextMs(), signal);
    }
  }
}

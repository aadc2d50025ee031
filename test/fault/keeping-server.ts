/**
 * A server whose tasks are kept in a file, as a process. Its agents yield as many pieces as the content says, the process's name and a number each;
 * those of `restartable` are begun anew when their server has died.
 *
 * Usage: keeping-server.ts OPTIONS, which are `KeepingOptions` as JSON, started with an IPC channel: it says `{ port }`, and answers {@link Order}s.
 */
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { createSqliteStore, defineAgent, isLengthConflict, type Store, serve } from "../../src/index.ts";
import type { KeepingOptions } from "./keeping-servers.ts";

export type Order =
  /** Answered with {@link Ran}. */
  | { readonly order: "runs" }
  /** From now on appends wait before they reach the store. Answered when those of so many logs do. */
  | { readonly order: "hold"; readonly logs: number }
  /** Lets them go on. Answered with {@link Late} when the store has. */
  | { readonly order: "release" };

/** The tasks of all runs that have begun. */
export interface Ran {
  readonly runs: readonly string[];
}

/** What became of the appends that waited. */
export interface Late {
  readonly taken: number;
  /** Because the log had more entries than the append expected. */
  readonly refused: number;
}

const options: KeepingOptions = JSON.parse(process.argv[2] ?? "{}");
const { name, path, paceMs, tls } = options;
const runs: string[] = [];

const agentOf = (agent: string, restartable: boolean) =>
  defineAgent({
    name: agent,
    restartable,
    async *run({ id, content }) {
      runs.push(id);
      for (let piece = 0; piece < Number(content); piece++) {
        if (piece > 0) await pause(paceMs);
        yield `${name} ${piece};`;
      }
    },
  });

/** Lets a stop of this process fall between an append and the store. */
function createValve(store: Store) {
  let opened: Promise<void> | undefined;
  let open = () => {};
  let onWaiting = () => {};
  const waiting = new Map<string, Promise<unknown>>();
  const append: Store["append"] = async (log, entries, expected) => {
    if (opened === undefined) return await store.append(log, entries, expected);
    const appended = opened.then(() => store.append(log, entries, expected));
    waiting.set(log, appended);
    onWaiting();
    return await appended;
  };
  return {
    store: { ...store, append },
    async hold(logs: number) {
      opened = new Promise((resolve) => {
        open = resolve;
      });
      while (waiting.size < logs) {
        await new Promise<void>((resolve) => {
          onWaiting = resolve;
        });
      }
    },
    async release(): Promise<Late> {
      opened = undefined;
      open();
      const outcomes = await Promise.allSettled(waiting.values());
      const taken = outcomes.filter(({ status }) => status === "fulfilled").length;
      const refused = outcomes.filter((outcome) => outcome.status === "rejected" && isLengthConflict(outcome.reason)).length;
      return { taken, refused };
    },
  };
}

const { store, hold, release } = createValve(await createSqliteStore({ path }));
const server = await serve({
  agents: [agentOf("plain", false), agentOf("restartable", true)],
  port: 0,
  store,
  signals: false,
  log: { level: "silent" },
  ...(tls && { tls: { cert: readFileSync(tls.certificate), key: readFileSync(tls.key) } }),
});

async function answer(order: Order): Promise<Ran | Late | { held: number }> {
  if (order.order === "runs") return { runs };
  if (order.order === "release") return await release();
  await hold(order.logs);
  return { held: order.logs };
}

process.on("message", async (order: Order) => void process.send?.(await answer(order)));
process.on("disconnect", () => process.exit()); // nobody needs it any more
process.send?.({ port: server.port });

/**
 * A server whose tasks are kept in a store, as a process.
 *
 * Usage: kept-server.ts OPTIONS, which are {@link KeptServerOptions} as JSON, started with an IPC channel. It says `{}` when it is loaded, takes a
 * {@link ServeOrder}, says {@link Serving}, and from then on does what an {@link EmptyOrder} wants.
 *
 * Its agents say the numbers from 0 to the content's, each with the name of their run. They write the task's id to a file first, which no kill undoes.
 */
import { appendFileSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { setTimeout as pause } from "node:timers/promises";
import { createNatsStore, createSqliteStore, defineAgent, serve } from "../../src/index.ts";

export interface KeptServerOptions {
  /** Where tasks are kept: a file, or servers of NATS. */
  readonly store: { readonly path: string } | { readonly servers: readonly string[]; readonly prefix: string };
  /** The file that gets a line for each run of an agent. */
  readonly runs: string;
  /** How long a piece takes. */
  readonly pieceMs: number;
  /** Characters of a piece. Default: no more than it needs. */
  readonly pieceChars?: number;
}

export interface ServeOrder {
  /** 0 picks a free one. */
  readonly port: number;
}

export interface Serving {
  readonly port: number;
  /** When it began to listen, by `Date.now`. */
  readonly sinceMs: number;
}

const options: KeptServerOptions = JSON.parse(process.argv[2] ?? "{}");

function agentOf(name: string, restartable: boolean) {
  return defineAgent({
    name,
    restartable,
    async *run({ id, content }) {
      const run = crypto.randomUUID().slice(0, 8);
      appendFileSync(options.runs, `${id}\n`);
      for (let piece = 0; piece < Number(content); piece++) {
        if (piece > 0) await pause(options.pieceMs);
        yield `${run}:${piece} `.padEnd(options.pieceChars ?? 0, "-");
      }
    },
  });
}

process.on("disconnect", () => process.exit()); // nobody needs it any more
process.once("message", async ({ port }: ServeOrder) => {
  const { store: where } = options;
  const store = await ("path" in where ? createSqliteStore(where) : createNatsStore(where));
  const agents = [agentOf("once", false), agentOf("again", true)];
  const server = await serve({ agents, port, store, log: { level: "silent" } });
  process.send?.({ port: server.port, sinceMs: Date.now() } satisfies Serving);
});
flushCompileCache(); // a kill would keep it from the next process
process.send?.({});

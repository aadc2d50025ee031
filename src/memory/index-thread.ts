import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { IndexHit, IndexQuery, IndexRow } from "./search-index.ts";

/** What the index's thread is asked. */
export interface IndexRequest {
  readonly id: number;
  readonly call:
    | { readonly case: "add"; readonly rows: readonly IndexRow[] }
    | { readonly case: "remove"; readonly thread: string }
    | { readonly case: "search"; readonly query: IndexQuery };
}

/** What it answers. */
export interface IndexAnswer {
  readonly id: number;
  /** Of an `add`: see `SearchIndex`. */
  readonly complete?: boolean;
  readonly hits?: readonly IndexHit[];
  /** Why it could not be done. */
  readonly problem?: string;
}

/** The index in a thread of its own: a search over all of it takes a tenth of a second, in which nobody else would be served. */
export interface IndexThread {
  /** @returns false when others had to leave. @throws Error when the thread is gone, as all its methods do. */
  add(rows: readonly IndexRow[]): Promise<boolean>;
  remove(thread: string): Promise<void>;
  search(query: IndexQuery): Promise<readonly IndexHit[]>;
  /** True when it has ended, by itself or not, and what it knew is lost. */
  readonly ended: boolean;
  close(): void;
}

interface Waiting {
  resolve(answer: IndexAnswer): void;
  reject(reason: Error): void;
}

/** The worker's file: source or built, as this one is. */
const workerFile = fileURLToPath(new URL(`index-worker${extname(import.meta.url)}`, import.meta.url));

/** Starts the thread. It keeps no process alive. @param maxBytes the text that it holds. */
export function startIndexThread(maxBytes: number): IndexThread {
  const worker = new Worker(workerFile, { workerData: maxBytes });
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  let end: Error | undefined;
  const fail = (reason: Error) => {
    end ??= reason;
    for (const { reject } of waiting.values()) reject(end);
    waiting.clear();
  };
  worker.on("error", (cause) => fail(new Error("the search index has failed", { cause })));
  worker.on("exit", () => fail(new Error("the search index has ended")));
  worker.on("message", (answer: IndexAnswer) => {
    const { resolve, reject } = waiting.get(answer.id) ?? {};
    waiting.delete(answer.id);
    if (answer.problem === undefined) resolve?.(answer);
    else reject?.(new Error(`the search index: ${answer.problem}`));
  });
  worker.unref();
  const ask = (call: IndexRequest["call"]): Promise<IndexAnswer> => {
    return new Promise((resolve, reject) => {
      if (end !== undefined) return reject(end);
      const request: IndexRequest = { id: ++lastId, call };
      waiting.set(request.id, { resolve, reject });
      worker.postMessage(request);
    });
  };
  return {
    add: async (rows) => (await ask({ case: "add", rows })).complete ?? false,
    remove: async (thread) => void (await ask({ case: "remove", thread })),
    search: async (query) => (await ask({ case: "search", query })).hits ?? [],
    get ended() {
      return end !== undefined;
    },
    close() {
      fail(new Error("the search index was closed"));
      void worker.terminate();
    },
  };
}

import { create } from "@bufbuild/protobuf";
import type { ConnectError, HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  AppendResponseSchema,
  type MemoryService,
  ReadResponseSchema,
  SearchResponseSchema,
  SearchResultSchema,
  TailResponseSchema,
  VerifyResponseSchema,
} from "../contract/index.ts";
import type { EntryAuthor } from "./entry.ts";
import { createThreads, type Threads, type ThreadsOptions } from "./threads.ts";

export interface MemoryOptions extends ThreadsOptions {
  /** Who calls. */
  readonly callerOf: (context: HandlerContext) => EntryAuthor;
}

/** Shared memory that is served. */
export interface Memory {
  readonly service: ServiceImpl<typeof MemoryService>;
  /** The same threads, in this process. */
  readonly threads: Threads;
  /** Ends the tails with this error, so that they do not hold up a drain. */
  drain(reason: ConnectError): void;
  /** Lets go of the store. */
  close(): void;
}

/** Creates shared memory: MemoryService over threads. */
export function createMemory({ callerOf, ...options }: MemoryOptions): Memory {
  const threads = createThreads(options);
  const draining = new AbortController();
  return {
    threads,
    drain: (reason) => draining.abort(reason),
    close: () => threads.close(),
    service: {
      async append({ thread, entries, expectedLength }, context) {
        const appended = await threads.append(thread, entries, { author: callerOf(context), expectedLength });
        return create(AppendResponseSchema, { entries: [...appended] });
      },
      async read({ thread, fromNumber, limit }, { signal }) {
        const { entries, next, length } = await threads.read(thread, { from: fromNumber, limit, signal });
        return create(ReadResponseSchema, { entries: [...entries], nextNumber: next, length });
      },
      async *tail({ thread, fromNumber }, context) {
        const signal = AbortSignal.any([context.signal, draining.signal]);
        for await (const entry of threads.tail(thread, { from: fromNumber, signal }))
          yield create(TailResponseSchema, { entry });
      },
      async search(request) {
        const { results, partial } = await threads.search(request);
        return create(SearchResponseSchema, { results: results.map((each) => create(SearchResultSchema, each)), partial });
      },
      async verify({ thread }, { signal }) {
        const { first, length, sha256 } = await threads.verify(thread, { signal });
        return create(VerifyResponseSchema, { firstNumber: first, length, sha256 });
      },
    },
  };
}

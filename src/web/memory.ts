import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { MemoryService, type NewEntrySchema, type SearchResponse, type ThreadEntry } from "../contract/index.ts";
import { memoryBounds } from "../core/index.ts";
import { type CallDefaults, type CallOptions, callOptionsOf, stoppable } from "./call-options.ts";

/** What is to be remembered: its text alone, or the contract's whole `NewEntry`. */
export type EntryInput = string | MessageInitShape<typeof NewEntrySchema>;

/** What can be said of one call to memory. */
export type MemoryCallOptions = Pick<CallOptions, "timeoutMs" | "signal" | "metadata">;

/**
 * A thread of shared memory: a named list of entries that only grows, each with the hash of the one before. It begins with its first append.
 *
 * Each failure is a ConnectError, whose details are those of `proto/agent/v1/memory_service.proto`: DATA_LOSS for a thread that is
 * not as it was appended, OUT_OF_RANGE for entries that are not kept any more.
 */
export interface MemoryThread {
  readonly name: string;

  /**
   * Appends an entry. One without an `id` gets one, so that the call can be repeated; one that this caller has appended with the same `id` and
   * content is not appended again, and the answer is what is there.
   *
   * @param options `expectedLength`: how many entries the thread must have. Default: no matter.
   * @throws ConnectError ALREADY_EXISTS when the `id` stands for another entry; FAILED_PRECONDITION when the thread has another length.
   */
  append(entry: EntryInput, options?: MemoryCallOptions & { readonly expectedLength?: number }): Promise<ThreadEntry>;

  /** Appends several entries, 1 to 100: all of them or none, next to each other. As {@link MemoryThread.append}. */
  appendAll(
    entries: readonly EntryInput[],
    options?: MemoryCallOptions & { readonly expectedLength?: number },
  ): Promise<ThreadEntry[]>;

  /** How many entries the thread has, trimmed ones counted. */
  length(options?: MemoryCallOptions): Promise<number>;

  /** The entries from number `from` (default 0) to the end that there is then, at most `limit` (default: all). Read page by page. */
  read(options?: MemoryCallOptions & { readonly from?: number; readonly limit?: number }): AsyncIterable<ThreadEntry>;

  /** The entries from number `from` (default 0) on, then each that is appended. It goes on until it is left or `signal` is aborted. */
  tail(options?: MemoryCallOptions & { readonly from?: number }): AsyncIterable<ThreadEntry>;

  /**
   * Finds entries by their words: `words "and phrases" -without`.
   *
   * @throws ConnectError INVALID_ARGUMENT for a query that looks for nothing.
   */
  search(query: string, options?: MemorySearchOptions): Promise<SearchResponse>;

  /** Lets the server walk the chain. @throws ConnectError DATA_LOSS, reason THREAD_DAMAGED, that names the first entry that does not fit. */
  verifyAtServer(options?: MemoryCallOptions): Promise<ThreadState>;
}

export interface MemorySearchOptions extends MemoryCallOptions {
  /** Searches all threads whose names begin with this one's. Default false. */
  readonly prefix?: boolean;
  /** Only entries of this kind. */
  readonly kind?: string;
  /** Only entries whose author has this name. */
  readonly author?: string;
  /** The most results, 1 to 100. Default 10. */
  readonly limit?: number;
}

/** A thread that is whole. */
export interface ThreadState {
  /** The first entry that was looked at. */
  readonly first: number;
  /** How many entries the thread has, trimmed ones counted. */
  readonly length: number;
  /** The hash of the last one; empty when there is none. */
  readonly sha256: string;
}

type ThreadClient = Client<typeof MemoryService>;

/** A thread over any Connect transport, which stays the caller's. */
export function createMemoryThread(name: string, transport: Transport, defaults: CallDefaults = {}): MemoryThread {
  const client = createClient(MemoryService, transport);
  const wire = (options: MemoryCallOptions) => callOptionsOf(options, defaults);
  const thread: MemoryThread = {
    name,
    async append(entry, options) {
      const [appended] = await thread.appendAll([entry], options);
      if (appended === undefined) throw new TypeError("the server answered without the entry");
      return appended;
    },
    async appendAll(inputs, { expectedLength, ...options } = {}) {
      const length = expectedLength === undefined ? {} : { expectedLength };
      return (await client.append({ thread: name, entries: inputs.map(named), ...length }, wire(options))).entries;
    },
    length: async (options = {}) => (await client.read({ thread: name, fromNumber: 0xffff_ffff }, wire(options))).length,
    read: ({ from = 0, limit = Number.POSITIVE_INFINITY, ...options } = {}) =>
      readPages(client, { thread: name, from, limit }, wire(options)),
    tail: ({ from = 0, ...options } = {}) => {
      const request = { thread: name, fromNumber: from };
      return entriesOf(stoppable(options.signal, (signal) => client.tail(request, wire({ ...options, signal }))));
    },
    search: (query, { prefix = name === "", kind = "", author = "", limit = 0, ...options } = {}) =>
      client.search({ query, [prefix ? "threadPrefix" : "thread"]: name, kind, author, limit }, wire(options)),
    async verifyAtServer(options = {}) {
      const { firstNumber, length, sha256 } = await client.verify({ thread: name }, wire(options));
      return { first: firstNumber, length, sha256 };
    },
  };
  return thread;
}

interface Range {
  readonly thread: string;
  readonly from: number;
  readonly limit: number;
}

async function* readPages(client: ThreadClient, { thread, from, limit }: Range, options: ReturnType<typeof callOptionsOf>) {
  for (let number = from; number < from + limit; ) {
    const most = Math.min(from + limit - number, memoryBounds.maxPageEntries);
    const { entries, length } = await client.read({ thread, fromNumber: number, limit: most }, options);
    yield* entries;
    number += entries.length;
    if (entries.length === 0 || number >= length) return;
  }
}

async function* entriesOf(responses: AsyncIterable<{ entry?: ThreadEntry | undefined }>) {
  for await (const { entry } of responses) if (entry !== undefined) yield entry;
}

function named(input: EntryInput): Exclude<EntryInput, string> {
  const entry = typeof input === "string" ? { content: input } : input;
  return { ...entry, id: entry.id || newId() };
}

/** `crypto.randomUUID` is not there on pages without TLS. */
function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

import { Worker } from "node:worker_threads";
import { ConnectError } from "@connectrpc/connect";
import { createBackoff, resourceExhausted, sqliteBounds, unavailable } from "../../core/index.ts";
import { bytesOf, type Operation, pack } from "./batch.ts";
import { closedError, errorOf, storeUnfit } from "./errors.ts";
import type { Outcome, Report, Request, WriterSettings } from "./messages.ts";

/** The thread's file is beside this one, as source or built. */
const threadFile = new URL(`./writer-thread.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url);

/** What is told of the thread's work. */
export interface WriterEvents {
  /** Operations are on the disk; of an append, the log's length. They are told before their promises settle. */
  readonly done: (operations: readonly Done[]) => void;
  readonly leasesChanged: () => void;
  /** Other processes may have changed the file. */
  readonly othersWrote: () => void;
}

/** An operation that succeeded, and its number. */
export interface Done {
  readonly operation: Operation;
  readonly number: number;
}

/** Bounds of what waits; see `SqliteStoreOptions`. */
export interface WriterBounds {
  readonly maxWaitingOperations: number;
  readonly maxWaitingBytes: number;
}

interface Waiting {
  readonly operation: Operation;
  readonly bytes: number;
  readonly resolve: (number: number) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The writing thread as this one sees it. Operations of one turn of the event loop leave in one message; those that come while the
 * thread commits wait for it there and are its next transaction. So nothing waits for company when the thread has nothing to do.
 *
 * When the thread ends without being asked, what waits is UNAVAILABLE and another thread begins.
 */
export class Writer {
  readonly #settings: WriterSettings;
  readonly #bounds: WriterBounds;
  #events: WriterEvents | undefined;
  readonly #backoff = createBackoff({ initialMs: 100, maxMs: 5_000 });
  #thread: Worker | undefined;
  #restart: NodeJS.Timeout | undefined;
  /** Why there is no thread. */
  #away: unknown;
  #gathered: Waiting[] = [];
  /** Batches that the thread has, in their order. */
  readonly #sent: Waiting[][] = [];
  #operations = 0;
  #bytes = 0;
  #isFollowing = false;
  #opening: { readonly resolve: () => void; readonly reject: (error: unknown) => void } | undefined;
  #isClosed = false;
  /** Called when the thread has ended because it was to. */
  #whenEnded = () => {};

  constructor(settings: WriterSettings, bounds: WriterBounds) {
    this.#settings = settings;
    this.#bounds = bounds;
  }

  /** Who is told of the thread's work, from now on. */
  listen(events: WriterEvents): void {
    this.#events = events;
  }

  /** Starts the thread, and waits until it has opened the file. @throws ConnectError when it cannot. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#opening = { resolve, reject };
      this.#start();
    });
  }

  /** Does an operation, durably. @returns its number. @throws ConnectError */
  perform(operation: Operation): Promise<number> {
    const bytes = bytesOf(operation);
    this.#checkRoom(operation, bytes);
    return new Promise((resolve, reject) => {
      if (this.#gathered.length === 0) setImmediate(() => this.#send());
      this.#gathered.push({ operation, bytes, resolve, reject });
      this.#operations++;
      this.#bytes += bytes;
    });
  }

  /** Whether other processes' changes are to be told. */
  follow(following: boolean): void {
    this.#isFollowing = following;
    this.#ask({ case: "follow", following });
  }

  /** Does what it has accepted, then ends the thread. Nothing is accepted any more. */
  close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#restart);
    this.#send();
    if (this.#thread === undefined) return Promise.resolve();
    this.#thread.ref();
    this.#ask({ case: "close" });
    return new Promise((resolve) => {
      this.#whenEnded = resolve;
    });
  }

  #checkRoom({ name }: Operation, bytes: number): void {
    if (this.#isClosed) throw closedError();
    if (this.#away !== undefined) throw this.#awayError();
    const { maxWaitingOperations, maxWaitingBytes } = this.#bounds;
    const isFull = this.#operations >= maxWaitingOperations || this.#bytes + bytes > maxWaitingBytes;
    if (!isFull) return;
    const description = `${this.#operations} operations of ${this.#bytes} bytes wait for the disk, the most allowed; try again`;
    throw resourceExhausted({ subject: name, description, retryMs: sqliteBounds.retryMs });
  }

  #send(): void {
    if (this.#gathered.length === 0) return;
    const gathered = this.#gathered;
    this.#gathered = [];
    if (this.#sent.length === 0) this.#thread?.ref();
    for (let from = 0; from < gathered.length; ) {
      let [to, bytes] = [from, 0];
      for (; to < gathered.length && to - from < this.#settings.maxGroupOperations; to++) {
        bytes += gathered[to]?.bytes ?? 0;
        if (to > from && bytes > this.#settings.maxGroupBytes) break;
      }
      this.#sendBatch(gathered.slice(from, to));
      from = to;
    }
    if (this.#thread === undefined) this.#fail(this.#awayError());
  }

  #sendBatch(waiting: Waiting[]): void {
    const batch = pack(waiting.map(({ operation }) => operation));
    this.#sent.push(waiting);
    this.#ask({ case: "batch", batch }, [batch.bytes.buffer]);
  }

  #ask(request: Request, moved: ArrayBuffer[] = []): void {
    this.#thread?.postMessage(request, moved);
  }

  #start(): Worker {
    const thread = new Worker(threadFile, { workerData: this.#settings, name: "convoke store" });
    this.#thread = thread;
    this.#away = undefined;
    thread.on("message", (report: Report) => this.#take(report));
    thread.on("error", (error) => this.#lose(thread, error));
    thread.on("exit", () => this.#lose(thread, new Error("the thread has ended")));
    if (this.#isFollowing) this.follow(true);
    return thread;
  }

  #take(report: Report): void {
    switch (report.case) {
      case "open":
        if (this.#sent.length === 0) this.#thread?.unref();
        this.#opening?.resolve();
        this.#opening = undefined;
        break;
      case "done":
        this.#backoff.reset();
        this.#settle(report.outcomes, report.leasesChanged);
        break;
      case "leases":
        this.#events?.leasesChanged();
        break;
      case "others":
        this.#events?.othersWrote();
        break;
      case "refused":
        this.#away = storeUnfit(report.failure, this.#settings.path);
    }
  }

  #settle(outcomes: readonly Outcome[], leasesChanged: boolean): void {
    const done: Done[] = [];
    for (const { numbers, failures } of outcomes) {
      const failed = new Map(failures.map(({ index, failure }) => [index, failure]));
      for (const [index, waiting] of (this.#sent.shift() ?? []).entries()) {
        const { operation, resolve, reject } = this.#leave(waiting);
        const [number = 0, failure] = [numbers[index], failed.get(index)];
        if (failure !== undefined) reject(errorOf(failure, operation));
        else {
          done.push({ operation, number });
          resolve(number);
        }
      }
    }
    if (this.#sent.length === 0 && !this.#isClosed) this.#thread?.unref();
    this.#events?.done(done); // before whoever awaits the promises goes on
    if (leasesChanged) this.#events?.leasesChanged();
  }

  #lose(thread: Worker, cause: unknown): void {
    if (this.#thread !== thread) return; // an error is followed by an exit
    this.#thread = undefined;
    this.#away ??= cause;
    this.#fail(this.#awayError());
    if (this.#opening !== undefined) {
      this.#isClosed = true;
      this.#opening.reject(this.#away instanceof ConnectError ? this.#away : this.#awayError());
    }
    if (this.#isClosed) this.#whenEnded();
    else this.#restart = setTimeout(() => this.#start(), this.#backoff.nextMs()).unref();
  }

  #fail(error: unknown): void {
    for (const waiting of this.#sent.splice(0).flat()) this.#leave(waiting).reject(error);
  }

  #leave(waiting: Waiting): Waiting {
    this.#operations--;
    this.#bytes -= waiting.bytes;
    return waiting;
  }

  #awayError(): unknown {
    const message = "the store's writer has ended unexpectedly and begins anew; what it had may or may not be on the disk";
    return unavailable(message, sqliteBounds.retryMs, { cause: this.#away });
  }
}

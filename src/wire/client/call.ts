import { Code, ConnectError } from "@connectrpc/connect";
import { cancelled, type Due, deadlineExceeded, isPromise, timers, wireBounds } from "../../core/index.ts";
import {
  type ClientClosed,
  type ClientExchange,
  type ClientRequest,
  type Fields,
  type ResponseSink,
  resetCodes,
  type Writable,
} from "../exchange.ts";
import { noFields } from "../headers.ts";
import { Answer, type AnswerSink } from "./answer.ts";
import { failureOf, mayResend } from "./failures.ts";
import { KeptRequest } from "./kept.ts";
import type { ClientMethod } from "./method.ts";
import type { Outcome } from "./protocol.ts";
import { requestAgain } from "./request.ts";
import type { AttemptEnd, Route } from "./route.ts";

/** Takes what a call brings. After `end` nothing comes. */
export interface CallReceiver {
  /** The head of the response is there. */
  head(headers: Fields): void;
  message(flags: number, payload: Uint8Array): void;
  /** `local` errors, such as a cancel of the caller's own, go before messages that have come but were not read. */
  end(outcome: Outcome, local: boolean): void;
  /** There is room to write. */
  drained(): void;
}

export interface CallInit {
  readonly method: ClientMethod;
  readonly connection: Route;
  readonly request: ClientRequest;
  readonly receiver: CallReceiver;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number | undefined;
}

const { maxAttempts, deadlineSlackMs } = wireBounds;

/** One call on the client: the request out, the response in, with its deadline, its cancel, and other attempts as its route decides. */
export class ClientCall implements ResponseSink, AnswerSink, Writable {
  readonly #init: CallInit;
  readonly #method: ClientMethod;
  readonly #deadlineMs: number;
  readonly #kept = new KeptRequest();
  #sentAll = false;
  #exchange: ClientExchange | undefined;
  #closed = true;
  #answer: Answer;
  /** The head has come, and is not given on. */
  #holdsHead = false;
  #answering = false;
  #over = false;
  #deadline: Due | undefined;
  #attemptDeadline: Due | undefined;
  #unheed: (() => void) | undefined;
  /** Times that the request was sent, and how many of them the route has asked for. */
  #attempts = 0;
  #retries = 0;
  /** Between two attempts. */
  #rest: NodeJS.Timeout | "over" | undefined;
  #failure: Outcome = { error: undefined, trailer: noFields };

  constructor(init: CallInit) {
    this.#init = init;
    this.#method = init.method;
    this.#deadlineMs = init.timeoutMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + init.timeoutMs;
    this.#answer = new Answer(init.method, this);
  }

  /** Sends the head. Whatever goes wrong from now on is told to the receiver. */
  start(): void {
    const { signal, timeoutMs } = this.#init;
    if (timeoutMs !== undefined) {
      this.#deadline = timers.schedule(timeoutMs, () =>
        this.fail(deadlineExceeded(`the call took longer than ${timeoutMs} ms`)),
      );
    }
    if (signal !== undefined) this.#heed(signal);
    if (!this.#over) this.#open();
  }

  #heed(signal: AbortSignal): void {
    const abort = () => {
      const reason: unknown = signal.reason;
      this.fail(reason instanceof ConnectError ? reason : cancelled("the call was cancelled"));
    };
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener("abort", abort);
    this.#unheed = () => signal.removeEventListener("abort", abort);
  }

  get over(): boolean {
    return this.#over;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#over) return true;
    this.#kept.add(bytes);
    if (this.#resting) return false;
    return this.#exchange?.write(bytes) ?? true;
  }

  /** Sends the last of the request. */
  finish(bytes?: Uint8Array): void {
    if (this.#over) return;
    if (bytes !== undefined) this.#kept.add(bytes);
    this.#sentAll = true;
    if (!this.#resting) this.#exchange?.end(bytes);
  }

  pause(): void {
    this.#exchange?.pause();
  }

  resume(): void {
    this.#exchange?.resume();
  }

  /** Ends the call from this side. */
  fail(error: ConnectError): void {
    if (!this.#over) this.#break(error, "left");
  }

  /** The bytes of a message, which may take a while when it is compressed. */
  plain(flags: number, payload: Uint8Array): Uint8Array | Promise<Uint8Array> {
    return this.#answer.plain(flags, payload);
  }

  head(status: number, headers: Fields): void {
    if (this.#deaf) return;
    const answer = this.#answer;
    try {
      answer.head(status, headers);
      this.#holdsHead = true;
      if (this.#init.connection.ended === undefined) this.#commit();
      // It may wait for the head before it sends on; an answer without messages is whole in this turn.
      else if (this.#method.desc.methodKind === "bidi_streaming") queueMicrotask(() => this.#commit());
    } catch (thrown) {
      this.#break(ConnectError.from(thrown, Code.Internal), "answered");
    }
  }

  data(bytes: Uint8Array): void {
    if (this.#deaf) return;
    try {
      this.#answer.data(bytes);
    } catch (thrown) {
      this.#break(ConnectError.from(thrown, Code.Internal), "broken");
    }
  }

  message(flags: number, payload: Uint8Array): void {
    if (!this.#answering) {
      this.#answering = true;
      this.#attemptDeadline?.cancel();
      this.#init.connection.answering?.();
      this.#commit();
    }
    this.#init.receiver.message(flags, payload);
  }

  end(trailers: Fields): void {
    if (this.#deaf) return;
    const answer = this.#answer;
    const failed = (thrown: unknown) => {
      if (answer === this.#answer && !this.#resting)
        this.#settle({ error: ConnectError.from(thrown, Code.Internal), trailer: noFields }, "broken");
    };
    try {
      const outcome = answer.end(trailers);
      if (!isPromise(outcome)) this.#settle(outcome, "answered");
      else outcome.then((each) => answer === this.#answer && !this.#resting && this.#settle(each, "answered")).catch(failed);
    } catch (thrown) {
      failed(thrown);
    }
  }

  drained(): void {
    this.#init.receiver.drained();
  }

  closed(closed: ClientClosed): void {
    this.#closed = true;
    if (this.#rest === "over") {
      this.#open();
      return;
    }
    if (this.#deaf || closed.how === "done") return; // then its end is being read
    const again = mayResend(closed) && this.#kept.whole && !this.#answer.began;
    if (again && this.#attempts - this.#retries < (closed.how === "refused" ? 2 : maxAttempts)) {
      this.#attemptDeadline?.cancel();
      this.#init.connection.ended?.(failureOf(closed), "unprocessed", false);
      this.#open();
      return;
    }
    const dropped = closed.how === "reset" && closed.code === resetCodes.cancel; // how a server ends a call at its deadline
    const late = dropped && performance.now() > this.#deadlineMs - deadlineSlackMs;
    const error = late ? deadlineExceeded("the server ended the call at its deadline") : failureOf(closed);
    const unprocessed = mayResend(closed) || closed.how === "unreachable";
    this.#settle({ error, trailer: noFields }, unprocessed ? "unprocessed" : "broken");
  }

  get #resting(): boolean {
    return this.#rest !== undefined;
  }

  /** What still comes belongs to no attempt. */
  get #deaf(): boolean {
    return this.#over || this.#resting;
  }

  #open(): void {
    const { connection, request } = this.#init;
    if (this.#resting) {
      if (!this.#kept.whole) {
        this.#finish(this.#failure, false); // more was sent meanwhile than is kept
        return;
      }
      this.#rest = undefined;
      this.#retries++;
      this.#answer = new Answer(this.#method, this);
    }
    if (++this.#attempts === 1 && connection.attemptTimeoutMs === undefined) {
      this.#closed = false;
      this.#exchange = connection.open(request, this);
      return;
    }
    if (connection.attemptTimeoutMs !== undefined) this.#limit(connection.attemptTimeoutMs);
    const leftMs = this.#deadlineMs - performance.now();
    this.#closed = false;
    this.#exchange = connection.open(requestAgain(this.#method, request, { retries: this.#retries, leftMs }), this);
    for (const bytes of this.#kept.pieces) this.#exchange.write(bytes);
    if (this.#sentAll) this.#exchange.end();
    if (this.#attempts > 1) this.#init.receiver.drained(); // the exchange that had no room is gone
  }

  #limit(timeoutMs: number): void {
    const late = () => this.#break(deadlineExceeded(`an attempt took longer than ${timeoutMs} ms`), "late");
    this.#attemptDeadline = timers.schedule(timeoutMs, late);
  }

  /** From here on the answer is given on, and no other can take its place. */
  #commit(): void {
    if (!this.#holdsHead) return;
    this.#holdsHead = false;
    this.#kept.drop();
    this.#init.receiver.head(this.#answer.headers);
  }

  /** Ends the attempt, or the call, from this side. */
  #break(error: ConnectError, how: AttemptEnd): void {
    const resting = this.#resting;
    this.#settle({ error, trailer: noFields }, how, true);
    if (!resting) this.#exchange?.reset("cancel");
  }

  #settle(outcome: Outcome, how: AttemptEnd, local = false): void {
    if (this.#over) return;
    this.#attemptDeadline?.cancel();
    if (this.#goesOn(outcome.error, how)) this.#failure = outcome;
    else this.#finish(outcome, local);
  }

  #finish(outcome: Outcome, local: boolean): void {
    this.#over = true;
    this.#deadline?.cancel();
    this.#unheed?.();
    if (!this.#sentAll && !local) this.#exchange?.reset("cancel"); // the answer is whole, the rest of the request is not wanted
    this.#commit();
    this.#init.receiver.end(outcome, local);
  }

  /** Asks the route whether there is another attempt, and waits for it. */
  #goesOn(error: ConnectError | undefined, how: AttemptEnd): boolean {
    const rest = this.#rest;
    if (rest !== undefined) clearTimeout(rest === "over" ? undefined : rest);
    if (rest !== undefined || this.#attempts === 0) return false; // no attempt is open
    const repeatable = this.#kept.whole && !this.#answering && how !== "left";
    const delayMs = this.#init.connection.ended?.(error, how, repeatable);
    if (delayMs === undefined || !repeatable || performance.now() + delayMs >= this.#deadlineMs) return false;
    this.#holdsHead = false;
    this.#rest = setTimeout(() => {
      this.#rest = "over";
      if (this.#closed) this.#open();
    }, delayMs);
    if (!this.#closed) this.#exchange?.reset("cancel"); // what is left of it
    return true;
  }
}

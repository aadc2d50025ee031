import type { ConnectError } from "@connectrpc/connect";
import { reachBounds, resourceExhausted } from "../../core/index.ts";
import type { ClientExchange, ClientRequest, ResponseSink } from "../../wire/index.ts";
import type { CallRoute } from "./call-route.ts";
import type { Connection } from "./connection.ts";
import { WaitingExchange } from "./waiting-exchange.ts";

/** A call that looks for an endpoint. */
export interface WaitingCall {
  readonly route: CallRoute;
  readonly request: ClientRequest;
  readonly sink: ResponseSink;
}

/** What becomes of a waiting call now: it goes there, it fails with this, or it goes on waiting. */
export type Verdict = Connection | ConnectError | "closed" | undefined;

/** Calls that wait until there is an endpoint for them, first come, first served. While there are some, the process stays alive. */
export class WaitingCalls {
  readonly #calls = new Map<WaitingCall, WaitingExchange>();
  #alive: NodeJS.Timeout | undefined;
  #serving = false;

  get empty(): boolean {
    return this.#calls.size === 0;
  }

  add(call: WaitingCall): ClientExchange {
    if (this.#calls.size >= reachBounds.maxWaitingCalls) return refuse(call, tooMany());
    const exchange = new WaitingExchange(() => {
      this.#remove(call);
      queueMicrotask(() => call.sink.closed({ how: "reset", code: cancelCode }));
    });
    this.#calls.set(call, exchange);
    this.#alive ??= setInterval(() => {}, aliveMs);
    return exchange;
  }

  /** Decides on the calls in their order, until one has to go on waiting. */
  serve(decide: (call: WaitingCall) => Verdict): void {
    if (this.#serving) return; // what is decided may bring about more
    this.#serving = true;
    try {
      for (const [call, exchange] of this.#calls) {
        const verdict = decide(call);
        if (verdict === undefined) {
          if (call.route.waitForReady) continue; // those behind may not be so patient
          return;
        }
        this.#remove(call);
        if (verdict === "closed" || verdict instanceof Error) refuse(call, verdict);
        else if (exchange.continueOn(verdict.open(call.request, call.sink))) call.sink.drained();
      }
    } finally {
      this.#serving = false;
    }
  }

  #remove(call: WaitingCall): void {
    this.#calls.delete(call);
    if (!this.empty) return;
    clearInterval(this.#alive);
    this.#alive = undefined;
  }
}

/** HTTP/2's CANCEL. */
const cancelCode = 8;
const aliveMs = 60_000;

/** A call that goes nowhere. It hears of it later, as of any other end. */
export function refuse({ sink }: WaitingCall, reason: ConnectError | "closed"): ClientExchange {
  queueMicrotask(() => sink.closed(reason === "closed" ? { how: "closed" } : { how: "unreachable", cause: reason }));
  return { write: () => true, end: () => {}, pause: () => {}, resume: () => {}, reset: () => {} };
}

function tooMany(): ConnectError {
  const { maxWaitingCalls } = reachBounds;
  return resourceExhausted({ subject: "waiting calls", description: `${maxWaitingCalls} calls wait for an endpoint already` });
}

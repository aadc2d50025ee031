import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { ConnectError, ContextValues } from "@connectrpc/connect";
import type { ClientExchange, ClientRequest, ResponseSink } from "../exchange.ts";

/**
 * How an attempt of a call ended: `answered`, by the server's own word; `broken`, the server began and its answer did not become
 * whole; `unprocessed`, the server did not begin; `late`, it took longer than one attempt may; `left`, the caller cancelled it or its
 * deadline is over.
 */
export type AttemptEnd = "answered" | "broken" | "unprocessed" | "late" | "left";

/** Where the attempts of one call go. A connection is the plain route: it is always the same way, and there is no policy. */
export interface Route {
  /** Opens an attempt. Never throws: what goes wrong is told by the sink's `closed`. */
  open(request: ClientRequest, sink: ResponseSink): ClientExchange;
  /** Milliseconds that one attempt has until the first message of its answer. Default: the call's own deadline. */
  readonly attemptTimeoutMs?: number | undefined;
  /** The first message of the attempt's answer has come. */
  answering?(): void;
  /**
   * The attempt is over; called once for each that was opened. A call whose route has this is patient: its answer's head is given on
   * with the first message, as long as nobody needs it to go on sending.
   *
   * @param error what it failed with; undefined when it succeeded.
   * @param repeatable nothing of an answer was given on, and what was sent is at hand: another attempt is possible.
   * @returns milliseconds to wait before the next attempt; undefined when that was the last.
   */
  ended?(error: ConnectError | undefined, how: AttemptEnd, repeatable: boolean): number | undefined;
}

/** A call as a router sees it. */
export interface RoutedCall {
  readonly method: DescMethod;
  /** What is asked, where that is one message: of a unary call, and of a server stream if {@link Router.readsRequests}. */
  readonly message: Message | undefined;
  readonly contextValues: ContextValues | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Makes the call by one route. To make it again is harmless to the message, not to the server. */
export type Attempt<R> = (route: Route, signal: AbortSignal | undefined) => Promise<R>;

/** Decides where each call goes. */
export interface Router {
  /** Whether it wants to see the message of a server stream; that costs a turn of the event loop's microtasks. */
  readonly readsRequests: boolean;
  send<R>(call: RoutedCall, attempt: Attempt<R>): Promise<R>;
}

import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, createContextValues, type HandlerContext } from "@connectrpc/connect";
import { Few } from "../../core/index.ts";
import type { ServerExchange } from "../exchange.ts";
import { toHeaders } from "../headers.ts";
import type { CallHooks, ServerMethod } from "./method.ts";

/** What the signal of a call that ended well is aborted with. Shared: making an error is dear, and nobody looks. */
const ended = new ConnectError("the call has ended", Code.Canceled);

/**
 * One call as its handler and its engine know it. `Headers`, signal and values come to be when somebody asks for them, so they are
 * accessors of the class: hand the context on whole, a spread copy lacks them.
 */
export class CallScope implements HandlerContext {
  readonly method: DescMethod;
  readonly service: DescService;
  readonly protocolName: string;
  readonly #exchange: ServerExchange;
  readonly #hooks: CallHooks;
  #values: ContextValues | undefined;
  #requestHeader: Headers | undefined;
  #controller: AbortController | undefined;
  #aborted: ConnectError | undefined;
  #deadlineMs: number | undefined;
  #listeners: Few<AbortListener> | undefined;
  /** What the handler set, if it set anything. */
  touchedHeader: Headers | undefined;
  touchedTrailer: Headers | undefined;

  constructor(exchange: ServerExchange, { desc, hooks }: ServerMethod, protocolName: string) {
    this.method = desc;
    this.service = desc.parent;
    this.protocolName = protocolName;
    this.#exchange = exchange;
    this.#hooks = hooks;
  }

  get values(): ContextValues {
    this.#values ??= this.#hooks.values?.(this.#exchange) ?? createContextValues();
    return this.#values;
  }

  get requestMethod(): string {
    return this.#exchange.method;
  }

  get url(): string {
    const { scheme, authority, path } = this.#exchange;
    return `${scheme}://${authority || "localhost"}${path}`;
  }

  get requestHeader(): Headers {
    this.#requestHeader ??= toHeaders(this.#exchange.headers.list());
    return this.#requestHeader;
  }

  /** See {@link requestField}. */
  field(name: string): string | undefined {
    return this.#requestHeader === undefined ? this.#exchange.headers.get(name) : (this.#requestHeader.get(name) ?? undefined);
  }

  get responseHeader(): Headers {
    this.touchedHeader ??= new Headers();
    return this.touchedHeader;
  }

  get responseTrailer(): Headers {
    this.touchedTrailer ??= new Headers();
    return this.touchedTrailer;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted);
    }
    return this.#controller.signal;
  }

  /** What the call was aborted with, while it was at work. */
  get aborted(): ConnectError | undefined {
    return this.#aborted;
  }

  /** See {@link onCallAbort}. */
  onAbort(listener: AbortListener): () => void {
    if (this.#aborted !== undefined) queueMicrotask(() => listener(this.#aborted));
    this.#listeners ??= new Few();
    const listeners = this.#listeners;
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  setTimeout(timeoutMs: number): void {
    this.#deadlineMs = performance.now() + timeoutMs;
  }

  /** Milliseconds left, 0 or more; undefined without a deadline. A function that can be taken from its context, as handlers do. */
  get timeoutMs(): () => number | undefined {
    return () => (this.#deadlineMs === undefined ? undefined : Math.max(0, this.#deadlineMs - performance.now()));
  }

  /** Tells the handler, once, that its work is not wanted any more, and why. */
  abort(reason: ConnectError = ended): void {
    if (this.#aborted !== undefined) return;
    this.#aborted = reason;
    this.#listeners?.forEach((listener) => void listener(reason));
    this.#controller?.abort(reason);
  }
}

/** Told what a call was aborted with. */
export type AbortListener = (reason: unknown) => void;

/**
 * Calls back once when the work of a call is not wanted any more, as its `context.signal` would, without making the signal: a call
 * that only waits is a tenth cheaper for it. Later, never at once, when that has happened before.
 *
 * @returns what forgets the listener.
 */
export function onCallAbort(context: HandlerContext, listener: AbortListener): () => void {
  if (context instanceof CallScope) return context.onAbort(listener);
  const { signal } = context;
  const tell = () => listener(signal.reason);
  if (signal.aborted) queueMicrotask(tell);
  signal.addEventListener("abort", tell);
  return () => signal.removeEventListener("abort", tell);
}

/** A header of the request, by its name in lower case, without making a `Headers` of all of them. */
export function requestField(context: HandlerContext, name: string): string | undefined {
  return context instanceof CallScope ? context.field(name) : (context.requestHeader.get(name) ?? undefined);
}

/** What an interceptor put in the place of the call's own. */
export type ContextOverrides = Partial<Pick<HandlerContext, "service" | "requestHeader" | "signal" | "values">>;

/** The context of a handler inside interceptors. Its properties are its own. */
export function overridden(scope: CallScope, overrides: ContextOverrides): HandlerContext {
  const { method, service, protocolName, requestMethod, url, responseHeader, responseTrailer } = scope;
  const { requestHeader, signal, values } = scope;
  const own = { method, service, protocolName, requestMethod, url, requestHeader, responseHeader, responseTrailer };
  return { ...own, signal, values, timeoutMs: () => scope.timeoutMs(), ...overrides };
}

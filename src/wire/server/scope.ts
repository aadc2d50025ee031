import { Code, ConnectError, type ContextValues, createContextValues, type HandlerContext } from "@connectrpc/connect";
import type { ServerExchange } from "../exchange.ts";
import { toHeaders } from "../headers.ts";
import type { ServerMethod } from "./method.ts";

/** What the signal of a call that ended well is aborted with. Shared: making an error is dear, and nobody looks. */
const ended = new ConnectError("the call has ended", Code.Canceled);

export interface ScopeInit {
  readonly exchange: ServerExchange;
  readonly method: ServerMethod;
  readonly protocolName: string;
  readonly values: ContextValues | undefined;
}

/** What one call knows beside its messages. `Headers`, signal and context come to be when somebody asks for them. */
export class CallScope {
  readonly method: ServerMethod;
  readonly protocolName: string;
  readonly #exchange: ServerExchange;
  #values: ContextValues | undefined;
  #requestHeader: Headers | undefined;
  #controller: AbortController | undefined;
  #aborted: ConnectError | undefined;
  #deadlineMs: number | undefined;
  /** What the handler set, if it set anything. */
  touchedHeader: Headers | undefined;
  touchedTrailer: Headers | undefined;

  constructor({ exchange, method, protocolName, values }: ScopeInit) {
    this.method = method;
    this.protocolName = protocolName;
    this.#exchange = exchange;
    this.#values = values;
  }

  get values(): ContextValues {
    this.#values ??= createContextValues();
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

  setTimeout(timeoutMs: number): void {
    this.#deadlineMs = performance.now() + timeoutMs;
  }

  /** Milliseconds left, 0 or more; undefined without a deadline. */
  timeoutMs(): number | undefined {
    return this.#deadlineMs === undefined ? undefined : Math.max(0, this.#deadlineMs - performance.now());
  }

  /** Tells the handler, once, that its work is not wanted any more, and why. */
  abort(reason: ConnectError = ended): void {
    if (this.#aborted !== undefined) return;
    this.#aborted = reason;
    this.#controller?.abort(reason);
  }
}

/** What an interceptor put in the place of the call's own. */
export type ContextOverrides = Partial<Pick<HandlerContext, "service" | "requestHeader" | "signal" | "values">>;

/** The context of a handler. Its properties are its own, so that it can be spread. */
export function contextOf(scope: CallScope, overrides?: ContextOverrides): HandlerContext {
  const { method, protocolName } = scope;
  const context: HandlerContext = {
    method: method.desc,
    service: method.desc.parent,
    protocolName,
    requestMethod: scope.requestMethod,
    timeoutMs: () => scope.timeoutMs(),
    get url() {
      return scope.url;
    },
    get values() {
      return scope.values;
    },
    get signal() {
      return scope.signal;
    },
    get requestHeader() {
      return scope.requestHeader;
    },
    get responseHeader() {
      return scope.responseHeader;
    },
    get responseTrailer() {
      return scope.responseTrailer;
    },
  };
  return overrides === undefined ? context : { ...context, ...overrides };
}

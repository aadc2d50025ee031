import type { ConnectError } from "@connectrpc/connect";
import { type Backoff, createBackoff } from "../../core/index.ts";
import type { AttemptEnd, ClientExchange, ClientRequest, ResponseSink, Route, RoutedCall } from "../../wire/index.ts";
import type { Connection } from "./connection.ts";
import { isRefusal } from "./faults.ts";
import type { Member } from "./member.ts";
import type { ReachSettings } from "./options.ts";
import { isRetryable, pushbackOf, retryInfoMs } from "./retry.ts";
import type { RetryBudget } from "./retry-budget.ts";

/** What routes share. */
export interface RouteHost {
  readonly settings: ReachSettings;
  readonly budget: RetryBudget;
  now(): number;
  /** An endpoint with room that fits the call; one that was not tried yet, if there is such. */
  pick(route: CallRoute, nowMs: number): Member | undefined;
  /** There is an endpoint for the call that was not tried. */
  hasOther(call: RoutedCall, tried: readonly Member[]): boolean;
  /** No endpoint takes the call now. */
  wait(call: { readonly route: CallRoute; readonly request: ClientRequest; readonly sink: ResponseSink }): ClientExchange;
  /** There may be room again. */
  released(): void;
}

/** What a route has to know of its call. */
export interface RouteOptions {
  readonly idempotent: boolean;
  readonly waitForReady: boolean;
  readonly attemptTimeoutMs: number | undefined;
  /** Attempts together; 1 when somebody else sees to others. */
  readonly maxAttempts: number;
  /** Endpoints that this call was sent to already, where several routes share it. */
  readonly tried?: Member[];
}

/** The way of one call: the endpoint of each attempt, what it tells of that endpoint, and whether there is another attempt. */
export class CallRoute implements Route {
  readonly call: RoutedCall;
  readonly waitForReady: boolean;
  readonly attemptTimeoutMs: number | undefined;
  readonly #host: RouteHost;
  readonly #options: RouteOptions;
  #tried: Member[] | undefined;
  #member: Member | undefined;
  #connection: Connection | undefined;
  #beganMs = 0;
  #answered = false;
  #attempts = 0;
  #backOff: Backoff | undefined;

  constructor(host: RouteHost, call: RoutedCall, options: RouteOptions) {
    this.#host = host;
    this.call = call;
    this.#options = options;
    this.waitForReady = options.waitForReady;
    this.attemptTimeoutMs = options.attemptTimeoutMs;
    this.#tried = options.tried;
  }

  /** Endpoints to go to only if there are no others. */
  get tried(): readonly Member[] | undefined {
    return this.#tried;
  }

  open(request: ClientRequest, sink: ResponseSink): ClientExchange {
    const nowMs = this.#host.now();
    this.#attempts++;
    const member = this.#host.pick(this, nowMs);
    const connection = member?.subchannel.take();
    if (member === undefined || connection === undefined) return this.#host.wait({ route: this, request, sink });
    return this.begin(member, connection, nowMs).open(request, sink);
  }

  /** The attempt goes there. */
  begin(member: Member, connection: Connection, nowMs: number): Connection {
    this.#member = member;
    this.#connection = connection;
    this.#beganMs = nowMs;
    this.#answered = false;
    member.inFlight++;
    if (this.#options.tried !== undefined) this.#tried?.push(member);
    return connection;
  }

  answering(): void {
    const nowMs = this.#host.now();
    this.#answered = true;
    this.#member?.answered(nowMs - this.#beganMs, nowMs);
  }

  ended(error: ConnectError | undefined, how: AttemptEnd, repeatable: boolean): number | undefined {
    const member = this.#member;
    if (member === undefined) return undefined; // it went nowhere, because there is no endpoint
    this.#member = undefined;
    member.inFlight--;
    if (error === undefined && this.#answered) member.succeeded++;
    else {
      const nowMs = this.#host.now();
      member.ended(error, how, { latencyMs: this.#answered ? 0 : nowMs - this.#beganMs, nowMs });
    }
    this.#connection?.release();
    this.#connection = undefined;
    if (error === undefined) this.#host.budget.succeeded();
    const delayMs = error === undefined ? undefined : this.#delayMs(error, how, { member, repeatable });
    this.#host.released();
    return delayMs;
  }

  #delayMs(error: ConnectError, how: AttemptEnd, of: { member: Member; repeatable: boolean }): number | undefined {
    const { retry } = this.#host.settings;
    const { maxAttempts, idempotent } = this.#options;
    const pushback = pushbackOf(error);
    const retryable = isRetryable({ error, how, idempotent }, retry);
    const unprocessed = how === "unprocessed";
    if (!unprocessed && (retryable || isRefusal(error.code) || pushback === "none")) this.#host.budget.failed();
    if (!of.repeatable || !retryable || pushback === "none" || this.#attempts >= maxAttempts) return undefined;
    if (!unprocessed && !this.#host.budget.take(this.#host.now())) return undefined;
    this.#tried ??= [];
    this.#tried.push(of.member);
    return this.#waitMs(error, pushback);
  }

  /** A RetryInfo speaks of the endpoint that gave it; where another can be asked, there is no need to wait so long. */
  #waitMs(error: ConnectError, pushback: number | undefined): number {
    const { retry, random } = this.#host.settings;
    if (pushback !== undefined) {
      this.#backOff = undefined; // gRFC A6: it begins anew
      return pushback;
    }
    this.#backOff ??= createBackoff({
      initialMs: retry.initialBackOffMs,
      multiplier: retry.backOffMultiplier,
      maxMs: retry.maxBackOffMs,
      random,
    });
    const backOffMs = this.#backOff.nextMs();
    if (this.#host.hasOther(this.call, this.#tried ?? [])) return backOffMs;
    return Math.max(backOffMs, retryInfoMs(error) ?? 0);
  }
}

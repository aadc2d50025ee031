import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { failedPrecondition, unavailable } from "../../core/index.ts";
import type { ContractDifference } from "../../registry/index.ts";
import { type Attempt, type ClientExchange, PeerRefused, type RoutedCall, type Router } from "../../wire/index.ts";
import { callPolicy } from "./call-policy.ts";
import { CallRoute, type RouteHost, type RouteOptions } from "./call-route.ts";
import { EndpointSet } from "./endpoint-set.ts";
import { hedge } from "./hedge.ts";
import { hasKeys, isDeclaredIdempotent, takesKeys } from "./idempotency.ts";
import type { Member } from "./member.ts";
import type { ReachSettings } from "./options.ts";
import { type Picker, pickers } from "./picker.ts";
import { RetryBudget } from "./retry-budget.ts";
import { refuse, type Verdict, type WaitingCall, WaitingCalls } from "./waiting-calls.ts";

/** What the calls of a method have in common. */
interface MethodOptions {
  /** The contract declares it idempotent. */
  readonly declared: boolean;
  /** A call that says nothing more of itself. */
  readonly plain: RouteOptions;
  /** One whose request names its task; the same as the plain one where that changes nothing. */
  readonly again: RouteOptions;
}

/** A call that found no endpoint is worth another try when connections have been tried again. */
const retryMs = 1_000;

/** Sends the calls of one target to its endpoints. It looks for them with the first call. */
export class Balancer implements Router, RouteHost {
  readonly readsRequests = true;
  readonly settings: ReachSettings;
  readonly budget = new RetryBudget();
  readonly #set: EndpointSet;
  readonly #picker: Picker;
  readonly #waiting = new WaitingCalls();
  readonly #methods = new Map<DescMethod, MethodOptions>();
  #unwatch: (() => void) | undefined;
  #known = false;
  #sourceFailure: { readonly reason: unknown } | undefined;
  #closed = false;

  constructor(settings: ReachSettings) {
    this.settings = settings;
    this.#picker = pickers[settings.balancing](settings.random);
    this.#set = new EndpointSet(settings, () => this.released());
  }

  now(): number {
    return this.settings.now();
  }

  send<R>(call: RoutedCall, attempt: Attempt<R>): Promise<R> {
    if (this.#unwatch === undefined) this.#start();
    const nowMs = this.now();
    this.budget.offered(nowMs);
    const { method, message, contextValues, signal } = call;
    const { declared, plain, again } = this.#optionsOf(method);
    const asIs = again !== plain && hasKeys(message) ? again : plain;
    const policy = contextValues?.get(callPolicy);
    const options = policy === undefined ? asIs : { ...asIs, ...policy };
    const { hedging } = this.settings;
    if (hedging === undefined || !declared || message === undefined) return attempt(new CallRoute(this, call, options), signal);
    const tried: Member[] = [];
    const route = () => new CallRoute(this, call, { ...options, maxAttempts: 1, tried });
    return hedge(attempt, { ...hedging, route, signal, allow: () => this.budget.take(this.now()) });
  }

  pick({ call, tried }: CallRoute, nowMs: number): Member | undefined {
    const { probing } = this.#set;
    if (probing.length > 0) {
      const probe = this.#fitting(call, probing).find((member) => member.takeProbe());
      if (probe !== undefined) return probe;
    }
    const candidates = this.#fitting(call, this.#set.candidates);
    const picked = this.#picker(candidates, nowMs);
    if (picked === undefined || (picked.free && tried?.includes(picked) !== true)) return picked;
    const free = candidates.filter((member) => member.free);
    const fresh = free.filter((member) => tried?.includes(member) !== true);
    if (free.length === 0) picked.subchannel.take(); // which makes more room
    return this.#picker(fresh.length > 0 ? fresh : free, nowMs);
  }

  hasOther(call: RoutedCall, tried: readonly Member[]): boolean {
    return this.#fitting(call, this.#set.candidates).some((member) => !tried.includes(member));
  }

  /** Those whose contract fits the call. */
  #fitting({ method, message }: RoutedCall, members: readonly Member[]): readonly Member[] {
    if (this.#set.fits(method)) return members;
    return members.filter((member) => member.misfit(method, message) === undefined);
  }

  wait(call: WaitingCall): ClientExchange {
    const refusal = this.#refusal(call);
    return refusal === undefined ? this.#waiting.add(call) : refuse(call, refusal);
  }

  released(): void {
    if (!this.#waiting.empty) this.#waiting.serve((call) => this.#decide(call));
  }

  /** No call is open or waits. */
  get idle(): boolean {
    return this.#waiting.empty && [...this.#set.members].every(({ inFlight }) => inFlight === 0);
  }

  close(): void {
    this.#closed = true;
    this.#unwatch?.();
    this.#set.close();
    this.released();
  }

  #start(): void {
    this.#unwatch = () => {}; // the source may tell before it gives its own
    if (this.#closed) return;
    this.#unwatch = this.settings.source.watch({
      changed: (endpoints) => {
        if (this.#closed) return;
        this.#known = true;
        this.#sourceFailure = undefined;
        this.#set.update(endpoints);
        this.released();
      },
      failed: (reason) => {
        this.#sourceFailure = { reason };
        this.released();
      },
    });
    this.#set.connect();
  }

  #optionsOf(method: DescMethod): MethodOptions {
    let options = this.#methods.get(method);
    if (options === undefined) {
      const { waitForReady, retry, attemptTimeoutMs } = this.settings;
      const declared = isDeclaredIdempotent(method);
      const plain: RouteOptions = {
        idempotent: declared,
        waitForReady,
        attemptTimeoutMs: declared ? attemptTimeoutMs : undefined,
        maxAttempts: retry.maxAttempts,
      };
      options = { declared, plain, again: !declared && takesKeys(method) ? { ...plain, idempotent: true } : plain };
      this.#methods.set(method, options);
    }
    return options;
  }

  #decide(call: WaitingCall): Verdict {
    const nowMs = this.now();
    const member = this.#closed ? undefined : this.pick(call.route, nowMs);
    const connection = member?.subchannel.take();
    if (member !== undefined && connection !== undefined) return call.route.begin(member, connection, nowMs);
    return this.#refusal(call);
  }

  /** Why no endpoint that there is fits the call; waiting would not help. */
  #misfit({ method, message }: RoutedCall): ConnectError | undefined {
    if (this.#set.size === 0 || this.#set.fits(method)) return undefined;
    let error: ConnectError | undefined;
    for (const member of this.#set.members) {
      const difference = member.misfit(method, message);
      if (difference === undefined) return undefined;
      error ??= contractError(member.endpoint.url, difference);
    }
    return error;
  }

  /** Why the call need not wait. */
  #refusal({ route }: WaitingCall): ConnectError | "closed" | undefined {
    if (this.#closed) return "closed";
    const misfit = this.#misfit(route.call);
    if (misfit !== undefined) return misfit;
    if (route.waitForReady) return undefined;
    if (!this.#known) {
      if (this.#sourceFailure === undefined) return undefined;
      const { reason } = this.#sourceFailure;
      return unavailable(`the endpoints are not known${wordsOf(reason)}`, retryMs, { cause: reason });
    }
    const { name } = this.settings.source;
    if (this.#set.size === 0) return unavailable(`there is no endpoint${name ? ` of ${name}` : ""}`, retryMs);
    if (!this.#set.hopeless) return undefined;
    const { failure } = this.#set;
    return unavailable(`none of ${this.#set.size} endpoints can be called${wordsOf(failure)}`, retryMs, { cause: failure });
  }
}

/** The call's own message and method do not fit what an endpoint serves. */
function contractError(url: string, { path, problem }: ContractDifference): ConnectError {
  const description = `${url} serves another contract: ${path} ${problem}`;
  return failedPrecondition({ type: "CONTRACT", subject: path, description });
}

/** What went wrong, for the caller. */
function wordsOf(reason: unknown): string {
  if (typeof reason !== "object" || reason === null) return "";
  if (reason instanceof PeerRefused) return `: ${reason.message}`;
  if ("code" in reason && typeof reason.code === "string") return `: ${reason.code}`;
  return "message" in reason ? `: ${String(reason.message)}` : "";
}

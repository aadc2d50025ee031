import type { DescMethod, Message } from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { type ContractDifference, fitOf, type MethodFit } from "../../registry/index.ts";
import type { AttemptEnd } from "../../wire/index.ts";
import { Breaker } from "./breaker.ts";
import { isFault, isRefusal } from "./faults.ts";
import type { Endpoint } from "./feed.ts";
import { Latency, type UsualLatency } from "./latency.ts";
import type { Host } from "./outliers.ts";
import { Penalty } from "./penalty.ts";
import type { Candidate } from "./picker.ts";
import { Subchannel, type SubchannelOptions } from "./subchannel.ts";

export interface MemberOptions extends Omit<SubchannelOptions, "onConnected"> {
  readonly usual: UsualLatency;
}

/** One endpoint of the set: its connections, and what its answers tell of it. */
export class Member implements Candidate, Host {
  readonly subchannel: Subchannel;
  readonly breaker: Breaker;
  inFlight = 0;
  succeeded = 0;
  failed = 0;
  ejectedAtMs: number | undefined;
  ejections = 0;
  readonly #usual: UsualLatency;
  readonly #latency: Latency;
  readonly #penalty = new Penalty();
  #endpoint: Endpoint;
  #share = 1;
  readonly #fits = new Map<DescMethod, MethodFit>();
  #wake: NodeJS.Timeout | undefined;
  #probed = false;

  constructor(endpoint: Endpoint, options: MemberOptions) {
    const { usual, random, onChange } = options;
    this.#endpoint = endpoint;
    this.#usual = usual;
    this.#latency = new Latency(usual);
    this.subchannel = new Subchannel({ ...options, onConnected: () => this.#reconnected() });
    this.breaker = new Breaker({
      random,
      onChange: () => {
        this.#wakeBreaker(onChange);
        onChange();
      },
    });
    this.endpoint = endpoint;
  }

  get endpoint(): Endpoint {
    return this.#endpoint;
  }

  /** The same place may come with another weight or load. */
  set endpoint(endpoint: Endpoint) {
    const { weight = 1, load = 0 } = endpoint;
    if (endpoint.contract !== this.#endpoint.contract) this.#fits.clear();
    this.#endpoint = endpoint;
    const used = Number.isFinite(load) ? Math.min(1, Math.max(0, load)) : 0;
    this.#share = (Number.isFinite(weight) && weight > 0 ? weight : 1) / (1 + used);
  }

  /** What a call of this method uses that is not there as the caller knows it; undefined when it fits, or nobody knows. */
  misfit(method: DescMethod, message: Message | undefined): ContractDifference | undefined {
    return this.#fitOf(method)?.problemOf(message);
  }

  /** Every call of the method fits. */
  fits(method: DescMethod): boolean {
    return this.#fitOf(method)?.whole ?? true;
  }

  #fitOf(method: DescMethod): MethodFit | undefined {
    const { contract } = this.#endpoint;
    if (contract === undefined) return undefined;
    let fit = this.#fits.get(method);
    if (fit === undefined) {
      fit = fitOf(method, contract);
      this.#fits.set(method, fit);
    }
    return fit;
  }

  /** Connected, healthy and not ejected. */
  get serving(): boolean {
    return this.subchannel.state === "READY" && this.ejectedAtMs === undefined;
  }

  get free(): boolean {
    return this.subchannel.free;
  }

  /** The breaker lets one call through, and this is to be the one. */
  takeProbe(): boolean {
    if (this.#probed || this.breaker.state !== "probing" || !this.serving || !this.free) return false;
    this.#probed = true;
    return true;
  }

  costAt(nowMs: number): number {
    return ((this.inFlight + 1) * this.#latency.at(nowMs) * this.#penalty.at(nowMs)) / this.#share;
  }

  /** The first message of an answer has come after so long. */
  answered(latencyMs: number, nowMs: number): void {
    this.#latency.observe(latencyMs, nowMs);
    this.#usual.observe(latencyMs);
    this.breaker.succeeded();
  }

  /** A call is over. @param error undefined when it succeeded. */
  ended(error: ConnectError | undefined, how: AttemptEnd, { latencyMs, nowMs }: { latencyMs: number; nowMs: number }): void {
    this.#probed = false;
    if (error === undefined) {
      this.succeeded++;
      this.breaker.succeeded();
      return;
    }
    this.#latency.raise(latencyMs, nowMs);
    if (how === "left" && error.code !== Code.DeadlineExceeded) return; // the caller's own cancel says nothing
    if (!isFault(error.code)) {
      this.succeeded++;
      this.breaker.succeeded();
      return;
    }
    this.failed++;
    if (isRefusal(error.code)) this.#penalty.refused(nowMs);
    else this.#penalty.failed(nowMs);
    // What is exhausted works: to send all of it to the others would exhaust them, too.
    if (error.code === Code.ResourceExhausted) this.breaker.succeeded();
    else this.breaker.failed(error.code === Code.Unavailable);
  }

  /** It left the set. */
  retire(): void {
    clearTimeout(this.#wake);
    this.subchannel.retire();
  }

  close(): void {
    clearTimeout(this.#wake);
    this.subchannel.close();
  }

  /** Another process may answer there now. */
  #reconnected(): void {
    this.#latency.forget();
    this.#penalty.forget();
  }

  #wakeBreaker(onChange: () => void): void {
    clearTimeout(this.#wake);
    if (this.breaker.state !== "open") return;
    this.#wake = setTimeout(() => {
      this.breaker.wake();
      onChange();
    }, this.breaker.openMs).unref();
  }
}

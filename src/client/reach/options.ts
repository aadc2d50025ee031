import { type Random, reachBounds } from "../../core/index.ts";
import { type ClientTls, type ClientTlsOptions, currentTls, type TransportOptions } from "../../wire/index.ts";
import { type Endpoint, type EndpointFeed, originOf, staticFeed } from "./feed.ts";
import { pickers } from "./picker.ts";
import { type RetryOptions, type RetrySettings, resolveRetry } from "./retry.ts";
import type { SessionPool } from "./session-pool.ts";

/** Sends a call to a second endpoint before the first has answered, and takes the answer that comes first (gRFC A6, "Hedging Policy"). */
export interface HedgingOptions {
  /** Milliseconds without an answer before another attempt is sent. 0 sends all at once. */
  readonly delayMs: number;
  /** Attempts together, 2 to 5. Default 2. */
  readonly maxAttempts?: number;
}

/** Options of a transport that holds for all endpoints. */
type SharedOptions = Omit<TransportOptions, "baseUrl" | "httpVersion" | "tls">;

export interface BalancedTransportOptions extends SharedOptions {
  /** Where the target is: a list that does not change (URLs, or more of each), or what tells of changes. */
  readonly endpoints: readonly (string | Endpoint)[] | EndpointFeed;
  /**
   * Trust for `https` endpoints, watched or not; a function says it for each. An endpoint that has an `identity` is called only if this is a function,
   * which then has to see to it that the identity is proved.
   */
  readonly tls?: Exclude<ClientTls, () => ClientTlsOptions> | ((endpoint: Endpoint) => ClientTlsOptions);
  /** How the next endpoint is chosen. Default `power-of-two-choices`, over (in-flight calls + 1) × latency (gRFC A48, Finagle). */
  readonly balancing?: keyof typeof pickers;
  /** The zone of this client: endpoints of it come first, and others when it has none that can be called. Default: none. */
  readonly zone?: string;
  /** The service whose health is watched on every endpoint (gRFC A17). Default: the server as a whole, `""`; false watches none. */
  readonly health?: string | false;
  /** When a call is sent again. False: only when the server did not begin it, which is always harmless. */
  readonly retry?: RetryOptions | false;
  /**
   * Milliseconds that one attempt has until the first message of its answer; then it is cancelled, and another endpoint asked. Only for
   * methods that the contract declares idempotent: a cancelled task stays cancelled. Default: the call's deadline alone.
   */
  readonly attemptTimeoutMs?: number;
  /** Hedges unary and server-streaming methods that the contract declares idempotent. Default: none. */
  readonly hedging?: HedgingOptions;
  /** Calls wait for an endpoint until their deadline, where else they fail at once with UNAVAILABLE. Default false, as in gRPC. */
  readonly waitForReady?: boolean;
}

/** The options, complete. */
export interface ReachSettings {
  readonly source: EndpointFeed;
  readonly transport: SharedOptions;
  readonly tlsOf: (endpoint: Endpoint) => ClientTlsOptions;
  readonly balancing: keyof typeof pickers;
  readonly zone: string | undefined;
  readonly health: string | undefined;
  readonly retry: RetrySettings;
  readonly attemptTimeoutMs: number | undefined;
  readonly hedging: Required<HedgingOptions> | undefined;
  readonly waitForReady: boolean;
  /** Connections that are shared with other targets; undefined where the target is alone. */
  readonly pool: SessionPool | undefined;
  readonly random: Random;
  readonly now: () => number;
}

/** @throws TypeError for an endpoint that is none, RangeError for any other option that cannot be. */
export function resolveReach(options: BalancedTransportOptions, pool?: SessionPool): ReachSettings {
  const { endpoints, tls, balancing, zone, health, retry, attemptTimeoutMs, hedging, waitForReady, ...transport } = options;
  if (balancing !== undefined && !Object.hasOwn(pickers, balancing)) {
    throw new RangeError(`balancing is "${balancing}"; it must be one of ${Object.keys(pickers).join(", ")}`);
  }
  if (attemptTimeoutMs !== undefined && !(attemptTimeoutMs > 0)) {
    throw new RangeError(`attemptTimeoutMs is ${attemptTimeoutMs}; it must be more than 0`);
  }
  return {
    source: "watch" in endpoints ? endpoints : fixed(endpoints),
    transport,
    tlsOf: typeof tls === "function" ? tls : (endpoint) => sameFor(endpoint, tls),
    balancing: balancing ?? "power-of-two-choices",
    zone,
    health: health === false ? undefined : (health ?? ""),
    retry: resolveRetry(retry === false ? { maxAttempts: 1 } : retry),
    attemptTimeoutMs,
    hedging: hedging && resolveHedging(hedging),
    waitForReady: waitForReady ?? false,
    pool,
    random: Math.random,
    now: () => performance.now(),
  };
}

function fixed(list: readonly (string | Endpoint)[]): EndpointFeed {
  const endpoints = list.map((each) => (typeof each === "string" ? { url: each } : each));
  for (const endpoint of endpoints) originOf(endpoint);
  return staticFeed(endpoints);
}

function sameFor({ url, identity }: Endpoint, tls: ClientTls = {}): ClientTlsOptions {
  if (identity === undefined) return currentTls(tls);
  throw new TypeError(`${url} has to prove that it is ${identity}, and nothing here checks it; give "tls" as a function`);
}

function resolveHedging({ delayMs, maxAttempts = 2 }: HedgingOptions): Required<HedgingOptions> {
  const whole = Number.isInteger(maxAttempts) && maxAttempts >= 2 && maxAttempts <= reachBounds.maxAttempts;
  if (whole && delayMs >= 0) return { delayMs, maxAttempts };
  throw new RangeError(`hedging: delayMs is 0 or more, maxAttempts 2 to ${reachBounds.maxAttempts}`);
}

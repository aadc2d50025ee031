import type { DescMethod } from "@bufbuild/protobuf";
import { createBackoff, reachBounds } from "../../core/index.ts";
import { type ClientSession, createRoutedTransport, openSession } from "../../wire/index.ts";
import { type Endpoint, originOf } from "./feed.ts";
import { watchHealth } from "./health-watch.ts";
import { UsualLatency } from "./latency.ts";
import { Member } from "./member.ts";
import type { ReachSettings } from "./options.ts";
import { sweepMs, sweepOutliers } from "./outliers.ts";

/** gRFC A17: a watch that failed begins again as a connection does. */
const rewatch = { initialMs: 1_000, multiplier: 1.6, maxMs: 120_000 } as const;
const connectTimeoutMs = 20_000;
/** How often endpoints are tried of which every breaker is open: waiting longer would spare nobody, as few calls pass. */
const starvedMs = 1_000;

/** The endpoints of a target, as a source tells of them, and those that calls can go to now. */
export class EndpointSet {
  readonly #settings: ReachSettings;
  readonly #onChange: () => void;
  readonly #usual = new UsualLatency();
  readonly #members = new Map<string, Member>();
  #candidates: readonly Member[] = [];
  #probing: readonly Member[] = [];
  readonly #fitting = new Map<DescMethod, boolean>();
  #connects = false;
  #sweep: NodeJS.Timeout | undefined;
  #starved: NodeJS.Timeout | undefined;

  /** @param onChange what can be called, or its room, has changed. */
  constructor(settings: ReachSettings, onChange: () => void) {
    this.#settings = settings;
    this.#onChange = onChange;
  }

  get size(): number {
    return this.#members.size;
  }

  get members(): Iterable<Member> {
    return this.#members.values();
  }

  /** Serving, with a closed breaker, and in this client's zone if there are such. */
  get candidates(): readonly Member[] {
    return this.#candidates;
  }

  /** Their breakers are about to let a call through. */
  get probing(): readonly Member[] {
    return this.#probing;
  }

  /** True when no endpoint can be called, and none of them is only just being connected to. */
  get hopeless(): boolean {
    for (const { subchannel, serving } of this.#members.values()) if (!subchannel.failing && !serving) return false;
    return this.#candidates.length === 0;
  }

  /** Why, of one that failed. */
  get failure(): unknown {
    for (const { subchannel } of this.#members.values()) if (subchannel.failing) return subchannel.failure;
    return undefined;
  }

  /** Whether every endpoint fits every call of the method, as nearly always. */
  fits(method: DescMethod): boolean {
    let fits = this.#fitting.get(method);
    if (fits === undefined) {
      fits = [...this.#members.values()].every((member) => member.fits(method));
      this.#fitting.set(method, fits);
    }
    return fits;
  }

  /** Connects to all endpoints, and from now on to those that come. */
  connect(): void {
    if (this.#connects) return;
    this.#connects = true;
    this.#sweep = setInterval(() => this.#compare(), sweepMs).unref();
    for (const { subchannel } of this.#members.values()) subchannel.connect();
  }

  /** Those that stay keep their connections; calls on those that go are finished. What is no endpoint is left out. */
  update(endpoints: readonly Endpoint[]): void {
    const wanted = new Map<string, Endpoint>();
    for (const endpoint of this.#chosen(endpoints)) wanted.set(keyOf(endpoint), endpoint);
    for (const [key, member] of [...this.#members]) {
      if (wanted.has(key)) continue;
      this.#members.delete(key);
      member.retire();
    }
    for (const [key, endpoint] of wanted) {
      const member = this.#members.get(key);
      if (member === undefined) this.#add(key, endpoint);
      else member.endpoint = endpoint;
    }
    this.#fitting.clear();
    this.#refresh();
  }

  close(): void {
    clearInterval(this.#sweep);
    clearTimeout(this.#starved);
    for (const member of this.#members.values()) member.close();
    this.#members.clear();
    this.#candidates = this.#probing = [];
  }

  #add(key: string, endpoint: Endpoint): void {
    const { random, now, transport, tlsOf, health, pool } = this.#settings;
    const options = () => {
      const baseUrl = originOf(endpoint);
      checkProvable(endpoint, baseUrl);
      return { ...transport, baseUrl, tls: tlsOf(endpoint) };
    };
    const open = pool?.opener(key) ?? openSession;
    const timeoutMs = transport.connectTimeoutMs ?? connectTimeoutMs;
    const member = new Member(endpoint, {
      usual: this.#usual,
      maxConnections: reachBounds.maxConnectionsPerEndpoint,
      random,
      now,
      onChange: () => this.#refresh(),
      dial: (events) => open(options(), events),
      watch:
        health === undefined
          ? undefined
          : (session, onHealth) => {
              const backOff = createBackoff({ ...rewatch, random });
              return watchHealth({ transport: over(session, transport), service: health, timeoutMs, backOff, onHealth });
            },
    });
    this.#members.set(key, member);
    if (this.#connects) member.subchannel.connect();
  }

  /** All there are, up to a bound: those that are known already, then the own zone's, then others, by chance. */
  #chosen(endpoints: readonly Endpoint[]): readonly Endpoint[] {
    const valid = endpoints.filter(isEndpoint);
    if (valid.length <= reachBounds.maxEndpoints) return valid;
    const { zone, random } = this.#settings;
    const rank = (endpoint: Endpoint) => {
      if (this.#members.has(keyOf(endpoint))) return random();
      return endpoint.zone === zone ? 1 + random() : 2 + random();
    };
    const ranked = valid.map((endpoint) => ({ endpoint, rank: rank(endpoint) })).sort((one, other) => one.rank - other.rank);
    return ranked.slice(0, reachBounds.maxEndpoints).map(({ endpoint }) => endpoint);
  }

  #compare(): void {
    for (const { subchannel } of this.#members.values()) subchannel.trim();
    if (sweepOutliers([...this.#members.values()], this.#settings.now())) this.#refresh();
  }

  #refresh(): void {
    const serving = [...this.#members.values()].filter((member) => member.serving);
    const closed = serving.filter(({ breaker }) => breaker.state === "closed");
    // When all breakers are open, those whose endpoints did answer tell nothing: what was asked may be at fault.
    const callable = closed.length > 0 ? closed : serving.filter(({ breaker }) => !breaker.unreached);
    this.#starve(callable.length === 0 ? serving : []);
    const { zone } = this.#settings;
    const near = zone === undefined ? [] : callable.filter(({ endpoint }) => endpoint.zone === zone);
    this.#candidates = near.length > 0 ? near : callable;
    this.#probing = serving.filter(({ breaker }) => breaker.state === "probing");
    this.#onChange();
  }

  /** These are all that could be called, and their breakers are open. */
  #starve(members: readonly Member[]): void {
    if (members.length === 0) {
      clearTimeout(this.#starved);
      this.#starved = undefined;
      return;
    }
    this.#starved ??= setTimeout(() => {
      this.#starved = undefined;
      for (const { breaker, serving } of this.#members.values()) if (serving) breaker.wake();
      this.#refresh();
    }, starvedMs).unref();
  }
}

/** Calls over one connection; the caller's interceptors are not for them. */
function over(session: ClientSession, transport: ReachSettings["transport"]) {
  const { interceptors: _, ...options } = transport;
  return createRoutedTransport(
    { ...options, baseUrl: "http://health.invalid" },
    { readsRequests: false, send: ({ signal }, attempt) => attempt({ open: session.open }, signal) },
  );
}

/** @throws TypeError when it has to prove who it is, and cannot. */
function checkProvable({ identity }: Endpoint, baseUrl: string): void {
  if (identity === undefined || baseUrl.startsWith("https:")) return;
  throw new TypeError(`${baseUrl} has to prove that it is ${identity}, which nobody can over http`);
}

function keyOf(endpoint: Endpoint): string {
  return `${originOf(endpoint)} ${endpoint.identity ?? ""}`;
}

function isEndpoint(endpoint: Endpoint): boolean {
  try {
    originOf(endpoint);
    return true;
  } catch {
    return false;
  }
}

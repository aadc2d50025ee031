import { type Backoff, createBackoff, type Random } from "../../core/index.ts";
import type { ClientSession, SessionEvents } from "../../wire/index.ts";
import { Connection } from "./connection.ts";

/** gRPC's names for what becomes of a connection (grpc/doc/connectivity-semantics-and-api.md). */
export type ConnectivityState = "IDLE" | "CONNECTING" | "READY" | "TRANSIENT_FAILURE";

/** gRPC's connection back-off (grpc/doc/connection-backoff.md). */
const reconnect = { initialMs: 1_000, multiplier: 1.6, maxMs: 120_000 } as const;

export interface SubchannelOptions {
  /** Opens a connection. May throw. */
  readonly dial: (events: SessionEvents) => ClientSession;
  /** Watches a connection's health and gives what ends the watch; undefined where health is not asked for. */
  readonly watch: ((session: ClientSession, onHealth: (healthy: boolean, reason: unknown) => void) => () => void) | undefined;
  readonly maxConnections: number;
  readonly random: Random;
  readonly now: () => number;
  /** A connection is there where none was. */
  readonly onConnected: () => void;
  /** The state or the room has changed. */
  readonly onChange: () => void;
}

/**
 * The connections to one endpoint: one, and more when the peer's streams run out. Once told to connect it stays connected, with
 * growing waits after failures, until it is retired.
 */
export class Subchannel {
  readonly #options: SubchannelOptions;
  readonly #backOff: Backoff;
  #connections: readonly Connection[] = [];
  #dialing: ClientSession | undefined;
  #timer: NodeJS.Timeout | undefined;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  /** Set while a connection for more room, which failed, is not tried again. */
  #full: NodeJS.Timeout | undefined;
  #unwatch: () => void = () => {};
  #healthy: boolean | undefined;
  #failing = false;
  #failure: unknown;
  #retired = false;

  constructor(options: SubchannelOptions) {
    this.#options = options;
    this.#backOff = createBackoff({ ...reconnect, random: options.random });
  }

  get state(): ConnectivityState {
    if (this.#connections.length > 0) {
      if (this.#healthy === undefined) return "CONNECTING";
      return this.#healthy ? "READY" : "TRANSIENT_FAILURE";
    }
    if (this.#failing && this.#timer !== undefined) return "TRANSIENT_FAILURE";
    return this.#dialing === undefined && this.#timer === undefined ? "IDLE" : "CONNECTING";
  }

  /** It has failed and has not been READY since, though it may be connecting again: not worth waiting for. */
  get failing(): boolean {
    return this.#failing;
  }

  /** Why, when it is failing. */
  get failure(): unknown {
    return this.#failure;
  }

  /** READY, and with room for one more call. */
  get free(): boolean {
    return this.#healthy === true && this.#free !== undefined;
  }

  /** Leaves IDLE. */
  connect(): void {
    if (this.state === "IDLE" && !this.#retired) this.#dial();
  }

  /** A connection with room for one more call; else undefined, and another connection is on its way if there may be one. */
  take(): Connection | undefined {
    const { length } = this.#connections;
    const free = this.#free;
    if (free === undefined && length > 0 && length < this.#options.maxConnections) this.#dialMore();
    return free;
  }

  get #free(): Connection | undefined {
    for (const connection of this.#connections) if (connection.free) return connection;
    return undefined;
  }

  /** Closes connections beside the first that no call uses. */
  trim(): void {
    for (const connection of this.#connections.slice(1)) if (connection.idle) connection.session.close();
  }

  /** Takes no more calls; connections are closed as their calls end. */
  retire(): void {
    this.#shut((connection) => connection.retire());
  }

  /** Closes everything now. */
  close(): void {
    this.#shut((connection) => connection.session.close());
  }

  #shut(each: (connection: Connection) => void): void {
    this.#retired = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#full);
    this.#unwatch();
    this.#dialing?.close();
    for (const connection of this.#connections) each(connection);
    this.#connections = [];
    this.#healthy = undefined;
  }

  #dialMore(): void {
    if (this.#dialing === undefined && this.#full === undefined) this.#dial();
  }

  #dial(): void {
    this.#timer = undefined;
    this.#notBeforeMs = this.#options.now() + this.#backOff.nextMs();
    try {
      const session: ClientSession = this.#options.dial({
        ready: () => this.#ready(session),
        gone: (cause) => this.#gone(session, cause),
      });
      this.#dialing = session;
    } catch (cause) {
      this.#failed(cause);
    }
  }

  #ready(session: ClientSession): void {
    this.#dialing = undefined;
    this.#backOff.reset();
    this.#notBeforeMs = Math.min(this.#notBeforeMs, this.#options.now() + reconnect.initialMs);
    this.#connections = [...this.#connections, new Connection(session)];
    if (this.#connections.length > 1) this.#options.onChange();
    else {
      this.#options.onConnected();
      this.#watch(session);
    }
  }

  #watch(session: ClientSession): void {
    this.#unwatch();
    if (this.#options.watch === undefined) this.#setHealth(true, undefined);
    else this.#unwatch = this.#options.watch(session, (healthy, reason) => this.#setHealth(healthy, reason));
  }

  #setHealth(healthy: boolean, reason: unknown): void {
    if (this.#retired || this.#connections.length === 0) return;
    this.#healthy = healthy;
    this.#failing = !healthy;
    this.#failure = reason;
    this.#options.onChange();
  }

  #gone(session: ClientSession, cause: unknown): void {
    if (this.#retired) return;
    if (session === this.#dialing) {
      this.#dialing = undefined;
      this.#failed(cause);
      return;
    }
    const watched = this.#connections[0]?.session === session;
    this.#connections = this.#connections.filter((connection) => connection.session !== session);
    const [next] = this.#connections;
    if (next !== undefined) {
      if (watched) this.#watch(next.session);
      return;
    }
    this.#unwatch();
    this.#healthy = undefined;
    if (this.#dialing === undefined) this.#dialLater();
    this.#options.onChange();
  }

  #failed(cause: unknown): void {
    if (this.#connections.length > 0) {
      this.#stayFull();
      return;
    }
    this.#failing = true;
    this.#failure = cause;
    this.#dialLater();
    this.#options.onChange();
  }

  /** The failed connection was only for more room: calls that wait for it ask again later. */
  #stayFull(): void {
    this.#full = setTimeout(() => {
      this.#full = undefined;
      this.#options.onChange();
    }, this.#waitMs).unref();
  }

  #dialLater(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#dial(), this.#waitMs).unref();
  }

  get #waitMs(): number {
    return Math.max(0, this.#notBeforeMs - this.#options.now());
  }
}

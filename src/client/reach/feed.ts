import type { ContractLookup } from "../../registry/index.ts";

/** One place where the agents of a target can be called. */
export interface Endpoint {
  /** Scheme, host and port: `http://host:port` or `https://host:port`. */
  readonly url: string;
  /** Where it stands, such as a region's zone. Endpoints of the caller's own zone come first. */
  readonly zone?: string;
  /** Its share beside others, more than 0. Default 1. */
  readonly weight?: number;
  /** The SPIFFE id that it has to prove. The transport's `tls` has to check it: see `BalancedTransportOptions.tls`. */
  readonly identity?: string;
  /** What it serves, where that is known: calls that do not fit it are not sent there. */
  readonly contract?: ContractLookup;
  /** How much of its capacity is in use as it says itself, 0 to 1. Default 0. */
  readonly load?: number;
}

/** Takes what a source tells. Neither may throw. */
export interface EndpointListener {
  /** All endpoints that there are now, in place of those before. An empty list is an answer, too: there is none. */
  changed(endpoints: readonly Endpoint[]): void;
  /** The source cannot be asked at the moment. The last list goes on to hold; calls fail with this only when there was none yet. */
  failed(reason: unknown): void;
}

/** Tells where a target's endpoints are, and of every change, until it is closed. */
export interface EndpointFeed {
  /** What it leads to, for messages: `capability "schedule"`. */
  readonly name?: string;
  /**
   * Begins to tell. The first list comes when it is known, which may be before this returns.
   *
   * @returns ends it: after that the listener is not called again. Calling it twice does nothing.
   */
  watch(listener: EndpointListener): () => void;
}

/** Endpoints that never change. */
export function staticFeed(endpoints: readonly Endpoint[]): EndpointFeed {
  return {
    watch(listener) {
      listener.changed(endpoints);
      return () => {};
    },
  };
}

/**
 * Scheme, host and port of an endpoint, as connections are told apart.
 *
 * @throws TypeError for what is no http or https URL, or has a path: the same calls go to all endpoints.
 */
export function originOf({ url }: Endpoint): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const whole = parsed !== undefined && /^https?:$/.test(parsed.protocol) && parsed.hostname !== "";
  if (whole && parsed.pathname === "/" && parsed.search === "") return parsed.origin;
  throw new TypeError(`"${url}" is no endpoint; write http://host:port or https://host:port`);
}

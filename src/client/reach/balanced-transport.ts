import { type ClosableTransport, createRoutedTransport } from "../../wire/index.ts";
import { Balancer } from "./balancer.ts";
import { type BalancedTransportOptions, type ReachSettings, resolveReach } from "./options.ts";

/** What interceptors see as the URL of every call: the endpoint is chosen below them, for each attempt. */
const baseUrl = "http://balanced.invalid";

/**
 * Creates a client transport over several endpoints of one service: one HTTP/2 connection each, opened with the first call and kept,
 * and more when the peer's streams run out. Each call goes to the better of two endpoints drawn by chance, measured by calls in flight
 * and latency; endpoints that fail, drain or vanish are passed over until they are well again.
 *
 * Calls that the server did not begin are sent elsewhere. Others are sent again when the contract declares the method idempotent, the
 * request names its task, or {@link callPolicy} says so, with growing waits and within a budget of the target. Streams are repeated
 * until the first message of the answer, as long as what was sent is within 256 KiB. It keeps the process alive only while calls are
 * open.
 *
 * Failures are those of `createTransport`; UNAVAILABLE also when no endpoint can be called.
 *
 * Sources: gRFC A6 (retry, hedging), A9 (keepalive), A17 (health), A48 (least request), A50 (outlier detection).
 *
 * @throws TypeError for an endpoint that is no http or https URL, RangeError for any other option that cannot be.
 */
export function createBalancedTransport(options: BalancedTransportOptions): ClosableTransport {
  return createTarget(resolveReach(options));
}

/** The transport of one target. */
export interface Target extends ClosableTransport {
  /** No call is open or waits. */
  readonly idle: boolean;
}

export function createTarget(settings: ReachSettings): Target {
  const balancer = new Balancer(settings);
  return {
    ...createRoutedTransport({ ...settings.transport, baseUrl }, balancer),
    get idle() {
      return balancer.idle;
    },
    close: () => balancer.close(),
  };
}

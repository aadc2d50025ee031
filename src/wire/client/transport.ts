import type { Transport } from "@connectrpc/connect";
import { defaultLimits } from "../../core/index.ts";
import type { ClientSession, SessionEvents } from "../exchange.ts";
import { createHttp1Connection } from "../node/http1-client.ts";
import { createHttp2Connection, openHttp2Session } from "../node/http2-client.ts";
import type { ConnectionOptions } from "../node/keep-alive.ts";
import { Calls } from "./calls.ts";
import { checkOptions, parseBaseUrl, resolveWire, type TransportOptions } from "./options.ts";
import type { Router } from "./route.ts";

/** A Connect transport that can be let go of. */
export interface ClosableTransport extends Transport {
  /** Closes the connection; calls in flight end with CANCELLED, and so do new ones. */
  close(): void;
}

/**
 * Creates a client transport: over HTTP/2 one connection, opened with the first call and again when it was lost or told to go away.
 * Calls that the server did not begin are sent again (gRFC A6, "Transparent Retries"). It keeps the process alive only while calls
 * are open.
 *
 * Failures are ConnectErrors: UNAVAILABLE when the connection cannot be had or breaks, CANCELLED for the caller's own cancel,
 * DEADLINE_EXCEEDED by the local clock.
 *
 * @throws TypeError for a `baseUrl` that is no http or https URL, RangeError for any other option that cannot be.
 */
export function createTransport(options: TransportOptions): ClosableTransport {
  checkOptions(options);
  const url = parseBaseUrl(options.baseUrl);
  const create = (options.httpVersion ?? "2") === "2" ? createHttp2Connection : createHttp1Connection;
  const connection = create(connectionOptions(options, url));
  const router: Router = { readsRequests: false, send: ({ signal }, attempt) => attempt(connection, signal) };
  return { ...createRoutedTransport(options, router), close: () => connection.close() };
}

/**
 * A transport whose router decides, call by call, where it goes and how often it is tried. `baseUrl` is what interceptors see.
 *
 * @throws TypeError and RangeError as {@link createTransport}.
 */
export function createRoutedTransport(options: TransportOptions, router: Router): Transport {
  checkOptions(options);
  const url = parseBaseUrl(options.baseUrl);
  const calls = new Calls(router, resolveWire(options, url), { ...options, origin: url.origin });
  return {
    // the six parameters are Connect's
    unary: async (...[method, signal, timeoutMs, header, input, contextValues]) =>
      calls.unary(method, input, { signal, timeoutMs, header, contextValues }) as Promise<never>, // messages of this method
    stream: async (...[method, signal, timeoutMs, header, input, contextValues]) =>
      calls.stream(method, input, { signal, timeoutMs, header, contextValues }) as Promise<never>, // messages of this method
  };
}

/**
 * Opens one HTTP/2 connection at once, for who keeps several. It is not opened again.
 *
 * @throws TypeError for a `baseUrl` that is no http or https URL.
 */
export function openSession(options: TransportOptions, events: SessionEvents): ClientSession {
  return openHttp2Session(connectionOptions(options, parseBaseUrl(options.baseUrl)), events);
}

function connectionOptions(options: TransportOptions, url: URL): ConnectionOptions {
  return {
    origin: url.origin,
    scheme: url.protocol === "https:" ? "https" : "http",
    authority: url.host,
    tls: options.tls ?? {},
    connectTimeoutMs: options.connectTimeoutMs ?? 20_000,
    keepaliveMs: options.keepaliveMs,
    keepaliveTimeoutMs: options.keepaliveTimeoutMs ?? 20_000,
    streamWindowBytes: defaultLimits.streamWindowBytes,
    connectionWindowBytes: defaultLimits.connectionWindowBytes,
    maxHeaderBytes: defaultLimits.maxHeaderBytes,
  };
}

import { isIPv4 } from "node:net";
import { cors as connectCors } from "@connectrpc/connect";
import type { ServerExchange } from "../exchange.ts";

/** Which web pages may call. */
export interface CorsOptions {
  /** Origins such as `https://dashboard.example`; never a pattern. Pages of the server itself may always call. */
  readonly origins: readonly string[];
  /** Request headers that those pages may send beside the protocols' own. */
  readonly headers?: readonly string[];
}

/** How a request stands to the browser's same-origin policy. */
export type OriginVerdict = "pass" | "preflight" | "foreign";

/** How long browsers may keep the answer to a preflight; Chromium's own cap. */
const preflightMaxAgeSeconds = 7_200;

/**
 * Decides by the Fetch standard's CORS protocol, and sets the response headers that let an allowed page read the answer.
 *
 * @param loopback the server is bound to loopback: then a browser must also name it by a loopback name, so that a page whose own
 *   name was made to resolve here (DNS rebinding) stays foreign.
 */
export function createOriginPolicy({ cors, loopback }: { cors: CorsOptions; loopback: boolean }) {
  const allowed = new Set(cors.origins);
  const allowHeaders = [...connectCors.allowedHeaders, ...(cors.headers ?? [])].join(", ");
  return (exchange: ServerExchange): OriginVerdict => {
    const { headers } = exchange;
    const origin = headers.get("origin");
    const fromBrowser = origin !== undefined || headers.get("sec-fetch-site") !== undefined;
    if (loopback && fromBrowser && !isLoopbackName(exchange.authority)) return "foreign";
    if (origin === undefined || isSameHost(origin, exchange.authority)) return "pass";
    if (!allowed.has(origin)) return "foreign";
    exchange.addHeader("access-control-allow-origin", origin);
    exchange.addHeader("vary", "Origin");
    exchange.addHeader("access-control-expose-headers", connectCors.exposedHeaders.join(", "));
    const preflight = exchange.method === "OPTIONS" && headers.get("access-control-request-method") !== undefined;
    if (!preflight) return "pass";
    exchange.addHeader("access-control-allow-methods", connectCors.allowedMethods.join(", "));
    exchange.addHeader("access-control-allow-headers", allowHeaders);
    exchange.addHeader("access-control-max-age", String(preflightMaxAgeSeconds));
    return "preflight";
  };
}

/** True for an address or name that only this machine reaches. */
export function isLoopbackName(host: string): boolean {
  const name = host.replace(/:\d+$/, "").toLowerCase();
  return name === "localhost" || name.endsWith(".localhost") || name === "[::1]" || name === "::1" || isLoopbackIpv4(name);
}

function isLoopbackIpv4(name: string): boolean {
  return isIPv4(name) && name.startsWith("127.");
}

function isSameHost(origin: string, host: string): boolean {
  try {
    return new URL(origin).host === new URL(`http://${host}`).host || new URL(origin).host === new URL(`https://${host}`).host;
  } catch {
    return false; // "null" or not a URL: foreign
  }
}

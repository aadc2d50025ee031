import type { ConnectError } from "@connectrpc/connect";
import { type Limits, permissionDenied, resourceExhausted } from "../core/index.ts";
import {
  type CorsOptions,
  createOriginPolicy,
  isLoopbackName,
  pathOf,
  type RpcHandler,
  respondError,
  type WireHandler,
  type WireRequest,
} from "../wire/index.ts";
import type { InFlight } from "./in-flight.ts";
import type { PageHandler } from "./page.ts";

/** What the front hands requests to, and what it turns away by. */
export interface FrontOptions {
  readonly rpc: RpcHandler;
  /** Undefined where no page is served. */
  readonly page: PageHandler | undefined;
  readonly inFlight: InFlight;
  readonly limits: Limits;
  readonly cors: CorsOptions;
  /** The address that the server is bound to. */
  readonly host: string;
}

/** The first to see a request: turns away too many headers and foreign pages, answers preflights, then hands it to a call or the page. */
export function createFront({ rpc, page, inFlight, limits, cors, host }: FrontOptions): WireHandler {
  const originOf = createOriginPolicy({ cors, loopback: isLoopbackName(host) });
  return (request, response) => {
    request.on("error", () => {}); // a broken request also closes its response, which is where it is noticed
    inFlight.add(response);
    const excess = excessHeaders(request, limits);
    if (excess !== undefined) return respondError({ request, response }, excess, 431);
    const verdict = originOf(request, response);
    if (verdict === "foreign") {
      const message = "pages of this origin may not call; name it in the server's cors.origins";
      return respondError({ request, response }, permissionDenied(message, "ORIGIN_NOT_ALLOWED"));
    }
    if (verdict === "preflight") {
      response.statusCode = 204;
      response.end();
      return;
    }
    if (rpc.has(pathOf(request)) || page?.(request, response) !== true) rpc.handle(request, response);
  };
}

/** The field-size overhead of RFC 9113, section 6.5.2. */
const headerOverheadBytes = 32;

/** Node drops HTTP/1.1 headers over the count in silence, and heeds the size of HTTP/2's only once the peer has agreed to it. */
function excessHeaders({ rawHeaders }: WireRequest, { maxHeaderPairs, maxHeaderBytes }: Limits): ConnectError | undefined {
  const pairs = rawHeaders.length / 2;
  const bytes = rawHeaders.reduce((sum, text) => sum + text.length, pairs * headerOverheadBytes);
  if (pairs <= maxHeaderPairs && bytes <= maxHeaderBytes + maxHeaderPairs * headerOverheadBytes) return undefined;
  const description = `the request's headers are more than ${maxHeaderPairs}, or over ${maxHeaderBytes} bytes`;
  return resourceExhausted({ subject: "headers", description });
}

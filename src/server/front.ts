import type { ConnectError } from "@connectrpc/connect";
import { type Limits, permissionDenied, resourceExhausted } from "../core/index.ts";
import {
  type CorsOptions,
  createOriginPolicy,
  type ExchangeHandler,
  isLoopbackName,
  type RpcHandler,
  respondError,
  type ServerExchange,
} from "../wire/index.ts";
import type { PageHandler } from "./page.ts";

/** What the front hands requests to, and what it turns away by. */
export interface FrontOptions {
  readonly rpc: RpcHandler;
  /** Undefined where no page is served. */
  readonly page: PageHandler | undefined;
  readonly limits: Limits;
  readonly cors: CorsOptions;
  /** The address that the server is bound to. */
  readonly host: string;
}

/** The first to see a request: turns away too many headers and foreign pages, answers preflights, then hands it to a call or the page. */
export function createFront({ rpc, page, limits, cors, host }: FrontOptions): ExchangeHandler {
  const originOf = createOriginPolicy({ cors, loopback: isLoopbackName(host) });
  return (exchange) => {
    const excess = excessHeaders(exchange, limits);
    if (excess !== undefined) return respondError(exchange, excess, 431);
    const verdict = originOf(exchange);
    if (verdict === "foreign") {
      const message = "pages of this origin may not call; name it in the server's cors.origins";
      return respondError(exchange, permissionDenied(message, "ORIGIN_NOT_ALLOWED"));
    }
    if (verdict === "preflight") return exchange.respondWhole(204, []);
    const { method, path } = exchange;
    if (method === "POST" || rpc.has(path) || page?.(exchange) !== true) rpc.handle(exchange); // no page is posted to
  };
}

/** The field-size overhead of RFC 9113, section 6.5.2. */
const headerOverheadBytes = 32;

/** What is far over the bounds does not come here; Node drops HTTP/1.1 headers over the count in silence, but for one. */
function excessHeaders(exchange: ServerExchange, { maxHeaderPairs, maxHeaderBytes }: Limits): ConnectError | undefined {
  const { pairs, bytes } = exchange.headerSize();
  const spareBytes = (maxHeaderPairs - pairs) * headerOverheadBytes;
  if (pairs <= maxHeaderPairs && bytes <= maxHeaderBytes + spareBytes) return undefined;
  const description = `the request's headers are more than ${maxHeaderPairs}, or over ${maxHeaderBytes} bytes`;
  return resourceExhausted({ subject: "headers", description });
}

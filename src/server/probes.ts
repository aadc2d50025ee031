import { Health as HealthService } from "../../gen/health/v1/health_pb.js";
import type { Limits } from "../core/index.ts";
import { createListener, createRpcHandler, respondText, type ServerExchange, withoutQuery } from "../wire/index.ts";
import type { Health } from "./health.ts";

/** A port of its own for whoever asks only whether the server is well, as kubelet does: in clear text, whatever the main port asks for. */
export interface Probes {
  /** Undefined when none was asked for. */
  readonly port: number | undefined;
  close(): Promise<void>;
}

export interface ProbesOptions {
  readonly host: string;
  readonly port: number | undefined;
  readonly health: Health;
  readonly limits: Limits;
}

/**
 * Answers `grpc.health.v1.Health`, `GET /livez` (200 as long as the server is there) and `GET /readyz` (503 while it drains), and nothing
 * else.
 *
 * @throws the bind error, such as EADDRINUSE.
 */
export async function startProbes({ host, port, health, limits }: ProbesOptions): Promise<Probes> {
  if (port === undefined) return { port, close: async () => {} };
  const rpc = createRpcHandler({ limits, routes: (router) => router.service(HealthService, health.service) });
  const onRequest = (exchange: ServerExchange) => {
    const path = exchange.method === "GET" ? withoutQuery(exchange.path) : "";
    if (path === "/livez") respondText(exchange, 200, "alive");
    else if (path === "/readyz") respondText(exchange, health.serving ? 200 : 503, health.serving ? "ready" : "draining");
    else rpc.handle(exchange);
  };
  const listener = createListener({ limits, onRequest });
  const address = await listener.listen(host, port);
  return { port: address.port, close: () => listener.close() };
}

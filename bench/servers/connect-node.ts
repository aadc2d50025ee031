import { once } from "node:events";
import { createServer as createHttp1Server } from "node:http";
import { createSecureServer, createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { routes } from "./routes.ts";
import { runServer } from "./server.ts";

await runServer(async ({ tls, http1 }) => {
  const adapter = connectNodeAdapter({ routes });
  const server = http1 ? createHttp1Server(adapter) : tls ? createSecureServer(tls, adapter) : createServer(adapter);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port; // it listens at a port
});

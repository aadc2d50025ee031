import { defaultLimits as limits } from "convoke";
import { createListener, createRpcHandler } from "convoke/wire";
import { routes } from "./routes.ts";
import { runServer } from "./server.ts";

await runServer(async ({ tls }) => {
  const rpc = createRpcHandler({ routes, limits });
  const listener = createListener({ limits, onRequest: rpc.handle, ...(tls && { tls }) });
  const { port } = await listener.listen("127.0.0.1", 0);
  return port;
});

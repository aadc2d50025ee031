/** HTTP/2 and HTTP/1.1 to calls and back, for any Connect service. Knows nothing of agents. */
export {
  createListener,
  type Listener,
  type ListenerOptions,
  type TlsOptions,
  type WireHandler,
  type WireRequest,
  type WireResponse,
} from "./listener.ts";
export { type CorsOptions, createOriginPolicy, isLoopbackName, type OriginVerdict } from "./origin.ts";
export { codeName, respondError, respondJson, writeHead } from "./responses.ts";
export { createRpcHandler, pathOf, type RpcHandler, type RpcHandlerOptions } from "./rpc.ts";
export { type ClientTlsOptions, type ClosableTransport, createTransport, type TransportOptions } from "./transport.ts";

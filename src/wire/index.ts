/** HTTP/2 and HTTP/1.1 to calls and back, for any Connect service. Knows nothing of agents. */
export { isCutOff, isCutShort } from "./client/failures.ts";
export type { TransportOptions } from "./client/options.ts";
export type { Attempt, AttemptEnd, Route, RoutedCall, Router } from "./client/route.ts";
export { type ClosableTransport, createRoutedTransport, createTransport, openSession } from "./client/transport.ts";
export { type ClientTls, type ClientTlsOptions, currentTls, PeerRefused } from "./client-tls.ts";
export { withBinaryForm } from "./codec.ts";
export type {
  ClientExchange,
  ClientRequest,
  ClientSession,
  ExchangeHandler,
  Fields,
  HeaderList,
  RequestSink,
  ResponseSink,
  ServerClosed,
  ServerExchange,
  SessionEvents,
} from "./exchange.ts";
export { createListener, type Listener, type ListenerOptions } from "./node/listener.ts";
export type { TlsOptions } from "./node/tls-server.ts";
export { writeMessage } from "./protobuf/write.ts";
export { isConnectionLost } from "./server/lost.ts";
export type { RequestGate } from "./server/method.ts";
export { type CorsOptions, createOriginPolicy, isLoopbackName, type OriginVerdict } from "./server/origin.ts";
export { codeName, respondError, respondJson, respondText } from "./server/responses.ts";
export { createRpcHandler, type FinishedCall, type RpcHandler, type RpcHandlerOptions, withoutQuery } from "./server/rpc.ts";
export { type AbortListener, onCallAbort, requestField } from "./server/scope.ts";

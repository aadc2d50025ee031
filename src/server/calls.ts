import {
  Code,
  ConnectError,
  createContextKey,
  createContextValues,
  type Interceptor,
  type StreamResponse,
} from "@connectrpc/connect";
import type { Logger } from "pino";
import { cancelled, toPeerError } from "../core/index.ts";
import { codeName, type WireRequest } from "../wire/index.ts";

const peerKey = createContextKey<string>("", { description: "address of the calling peer" });

/** What {@link createCallLog} reads of a request beside its headers. */
export function callValues(request: WireRequest) {
  return createContextValues().set(peerKey, request.socket?.remoteAddress ?? "");
}

/**
 * The outermost interceptor: one log line a call (method, protocol, peer, code, duration; never bodies or metadata), and no
 * error leaves but typed ones.
 */
export function createCallLog(log: Logger): Interceptor {
  return (next) => async (request) => {
    const startMs = performance.now();
    const fields = {
      rpc: `${request.service.typeName}/${request.method.name}`,
      type: request.header.get("content-type") ?? "",
      peer: request.contextValues.get(peerKey),
    };
    const done = (error?: ConnectError) => {
      const line = {
        ...fields,
        code: error === undefined ? "ok" : codeName(error.code),
        ms: Math.round(performance.now() - startMs),
      };
      if (error?.code === Code.Internal || error?.code === Code.Unknown)
        log.error({ ...line, err: error.cause ?? error }, "call");
      else log.info(line, "call");
    };
    const failed = (thrown: unknown): ConnectError => {
      const error = request.signal.aborted ? abortError(request.signal, thrown) : toPeerError(thrown);
      done(error);
      return error;
    };
    try {
      const response = await next(request);
      if (response.stream) return { ...response, message: observed(response, { done, failed }) };
      done();
      return response;
    } catch (thrown) {
      throw failed(thrown);
    }
  };
}

interface Observer {
  readonly done: () => void;
  readonly failed: (thrown: unknown) => ConnectError;
}

async function* observed({ message }: StreamResponse, { done, failed }: Observer) {
  let ended = false;
  try {
    yield* message;
    ended = true;
    done();
  } catch (thrown) {
    ended = true;
    throw failed(thrown);
  } finally {
    if (!ended) failed(cancelled("the caller left"));
  }
}

/** After an abort, whatever broke first, the abort is the reason. */
function abortError(signal: AbortSignal, thrown: unknown): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  return signal.reason instanceof ConnectError ? signal.reason : cancelled("the caller left");
}

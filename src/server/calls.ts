import {
  Code,
  type ConnectError,
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

/** One log line a call: method, protocol, peer, code, duration; never bodies or metadata. */
export function createCallLog(log: Logger): Interceptor {
  return (next) => async (request) => {
    const startMs = performance.now();
    const done = (error?: ConnectError) => {
      const line = {
        rpc: `${request.service.typeName}/${request.method.name}`,
        type: request.header.get("content-type") ?? "",
        peer: request.contextValues.get(peerKey),
        code: error === undefined ? "ok" : codeName(error.code),
        ms: Math.round(performance.now() - startMs),
      };
      if (error?.code === Code.Internal || error?.code === Code.Unknown)
        log.error({ ...line, err: error.cause ?? error }, "call");
      else log.info(line, "call");
    };
    try {
      const response = await next(request);
      if (response.stream) return { ...response, message: observed(response, done) };
      done();
      return response;
    } catch (thrown) {
      done(toPeerError(thrown));
      throw thrown;
    }
  };
}

async function* observed({ message }: StreamResponse, done: (error?: ConnectError) => void) {
  let outcome: ConnectError | undefined = cancelled("the caller left"); // unless it comes to an end
  try {
    yield* message;
    outcome = undefined;
  } catch (thrown) {
    outcome = toPeerError(thrown);
    throw thrown;
  } finally {
    done(outcome);
  }
}

import { ConnectError, type Interceptor } from "@connectrpc/connect";
import { cancelled, toPeerError } from "../core/index.ts";

/**
 * Lets nothing but typed errors leave a call: after an abort the abort is the reason, whatever broke first; anything else that is
 * not typed is INTERNAL.
 */
export const typedErrors: Interceptor = (next) => async (request) => {
  const typed = (thrown: unknown): ConnectError => {
    if (thrown instanceof ConnectError || !request.signal.aborted) return toPeerError(thrown);
    return request.signal.reason instanceof ConnectError ? request.signal.reason : cancelled("the caller left");
  };
  try {
    const response = await next(request);
    return response.stream ? { ...response, message: typedStream(response.message, typed) } : response;
  } catch (thrown) {
    throw typed(thrown);
  }
};

async function* typedStream<T>(messages: AsyncIterable<T>, typed: (thrown: unknown) => ConnectError): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (thrown) {
    throw typed(thrown);
  }
}

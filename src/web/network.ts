import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";

/**
 * Turns a failed connection into UNAVAILABLE, as gRPC clients do, before the first byte and in the middle of a stream.
 * Connect's web transports report it as UNKNOWN, which a caller cannot tell from a fault of the server.
 */
export const networkFailures: Interceptor = (next) => async (request) => {
  try {
    const response = await next(request);
    return response.stream ? { ...response, message: read(response.message) } : response;
  } catch (thrown) {
    throw networkError(thrown);
  }
};

async function* read<T>(messages: AsyncIterable<T>) {
  try {
    yield* messages;
  } catch (thrown) {
    throw networkError(thrown);
  }
}

/**
 * fetch, and the body that it gives, fail with a TypeError for every network error (Fetch standard, section 5.6). It is told by its
 * name: frames and workers have a TypeError of their own.
 */
function networkError(thrown: unknown): unknown {
  if (typeof thrown !== "object" || thrown === null || !("name" in thrown) || thrown.name !== "TypeError") return thrown;
  return new ConnectError("the server cannot be reached", Code.Unavailable, undefined, undefined, thrown);
}

import type { Interceptor } from "@connectrpc/connect";

/**
 * An interceptor that replaces what a call fails with, before its response and in the middle of a stream.
 *
 * @param replace gets what was thrown and the call's signal; it gives what is thrown instead.
 */
export function mapErrors(replace: (thrown: unknown, signal: AbortSignal) => unknown): Interceptor {
  return (next) => async (request) => {
    try {
      const response = await next(request);
      if (!response.stream) return response;
      return { ...response, message: mapped(response.message, (thrown) => replace(thrown, request.signal)) };
    } catch (thrown) {
      throw replace(thrown, request.signal);
    }
  };
}

async function* mapped<T>(messages: AsyncIterable<T>, replace: (thrown: unknown) => unknown): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (thrown) {
    throw replace(thrown);
  }
}

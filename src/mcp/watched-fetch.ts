/**
 * `fetch` for a session by streamable HTTP that tells what the MCP SDK does not see: that the server cannot be reached, or an answer breaks off.
 */
export function watchedFetch(fetch: typeof globalThis.fetch = globalThis.fetch, lost: () => void): typeof globalThis.fetch {
  return async (input, init) => {
    const failed = () => {
      if (init?.signal?.aborted !== true) lost();
    };
    const response = await fetch(input, init).catch((thrown: unknown) => {
      failed();
      throw thrown;
    });
    if (init?.method !== "POST") return response; // a stream of what the server says by itself is opened again by the SDK
    if (response.body === null) return response;
    const { status, statusText, headers } = response;
    return new Response(watchedBody(response.body, failed), { status, statusText, headers });
  };
}

function watchedBody(body: ReadableStream<Uint8Array>, failed: () => void): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let isCancelled = false;
  return new ReadableStream({
    async pull(controller) {
      const read = await reader.read().catch((thrown: unknown) => {
        failed();
        throw thrown;
      });
      if (read.value !== undefined) controller.enqueue(read.value);
      else if (!isCancelled) controller.close();
    },
    cancel(reason) {
      isCancelled = true;
      return reader.cancel(reason);
    },
  });
}

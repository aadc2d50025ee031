import { modelBounds, resourceExhausted } from "../core/index.ts";

const newline = 10;

/**
 * `fetch` for a model's provider: a stream whose line does not end is broken off with RESOURCE_EXHAUSTED, instead of being held in memory for ever.
 *
 * @param maxLineBytes default 4 MiB.
 */
export function boundedFetch(maxLineBytes: number = modelBounds.maxLineBytes): typeof fetch {
  return async (input, init) => {
    const response = await fetch(input, init);
    if (response.body === null || !(response.headers.get("content-type") ?? "").startsWith("text/event-stream"))
      return response;
    const { status, statusText, headers } = response;
    return new Response(response.body.pipeThrough(boundLines(maxLineBytes)), { status, statusText, headers });
  };
}

function boundLines(maxLineBytes: number): TransformStream<Uint8Array, Uint8Array> {
  let lineBytes = 0;
  return new TransformStream({
    transform(bytes, controller) {
      const end = bytes.lastIndexOf(newline);
      lineBytes = end === -1 ? lineBytes + bytes.length : bytes.length - end - 1;
      if (lineBytes > maxLineBytes) {
        const description = `the model's provider has sent a line of over ${maxLineBytes} bytes, the most allowed`;
        controller.error(resourceExhausted({ subject: "model output", description }));
      } else controller.enqueue(bytes);
    },
  });
}

import { heldOfEvent, isEventStream, modelBounds, resourceExhausted } from "../core/index.ts";

/**
 * `fetch` for a model's provider: a stream with an event that does not end is broken off with RESOURCE_EXHAUSTED, instead of being held in memory for ever.
 *
 * @param maxEventBytes default 4 MiB.
 */
export function boundedFetch(maxEventBytes: number = modelBounds.maxEventBytes): typeof fetch {
  return async (input, init) => {
    const response = await fetch(input, init);
    if (response.body === null || !isEventStream(response)) return response;
    const { status, statusText, headers } = response;
    return new Response(response.body.pipeThrough(boundEvents(maxEventBytes)), { status, statusText, headers });
  };
}

function boundEvents(maxEventBytes: number): TransformStream<Uint8Array, Uint8Array> {
  const held = heldOfEvent();
  return new TransformStream({
    transform(bytes, controller) {
      if (held(bytes) > maxEventBytes) {
        const description = `the model's provider has sent an event of over ${maxEventBytes} bytes, the most allowed`;
        controller.error(resourceExhausted({ subject: "model output", description }));
      } else controller.enqueue(bytes);
    },
  });
}

/**
 * Hands on what there is until the signal is aborted, and then ends at once, whatever its source does: that is told to end, and left behind.
 *
 * @throws what the signal is aborted with, and what the source throws.
 */
export async function* untilAborted<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T, void, undefined> {
  const iterator = items[Symbol.asyncIterator]();
  let abandon = (_reason: unknown) => {};
  const abort = () => abandon(signal.reason);
  signal.addEventListener("abort", abort);
  let isOver = false;
  try {
    for (;;) {
      signal.throwIfAborted();
      const result = await new Promise<IteratorResult<T>>((resolve, reject) => {
        abandon = reject;
        iterator.next().then(resolve, reject);
      });
      isOver = result.done === true;
      if (result.done === true) return;
      yield result.value;
    }
  } finally {
    signal.removeEventListener("abort", abort);
    if (!isOver) iterator.return?.().catch(() => {}); // it has failed, or nobody listens any more
  }
}

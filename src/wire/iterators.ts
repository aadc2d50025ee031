/**
 * Leaves an iterator before its end, so that a generator runs its `finally`. Whatever it then throws has nobody to hear it.
 */
export function leave(iterator: AsyncIterator<unknown>): void {
  try {
    iterator.return?.().catch(() => {});
  } catch {
    // An iterator that is no generator may throw at once.
  }
}

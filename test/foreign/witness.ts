/** Remembers which calls of a server ended early, for those that ask or wait for it. */
export interface Witness {
  saw(id: string): void;
  /** Settles when the call has been seen to end. */
  wait(id: string): Promise<void>;
}

export function createWitness(): Witness {
  const seen = new Map<string, { done: Promise<void>; tell: () => void }>();
  const of = (id: string) => {
    const known = seen.get(id);
    if (known !== undefined) return known;
    let tell = () => {};
    const done = new Promise<void>((resolve) => {
      tell = resolve;
    });
    const entry = { done, tell };
    seen.set(id, entry);
    return entry;
  };
  return { saw: (id) => of(id).tell(), wait: (id) => of(id).done };
}

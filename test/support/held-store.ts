import type { Store } from "../../src/store/index.ts";

/** A store that can keep its answers back. */
export interface HeldStore {
  readonly store: Store;
  /** From now on appends are taken, and nobody hears of it. Settles when so many have been. Default 1. */
  hold(count?: number): Promise<void>;
  /** Gives the answers that were kept back. */
  release(): void;
}

export function holdAnswers(store: Store): HeldStore {
  let held: Promise<void> | undefined;
  let taken = () => {};
  let release = () => {};
  return {
    store: {
      ...store,
      async append(...call) {
        const length = await store.append(...call);
        taken();
        await held;
        return length;
      },
    },
    hold(count = 1) {
      let left = count;
      held = new Promise<void>((resolve) => {
        release = resolve;
      });
      return new Promise<void>((resolve) => {
        taken = () => {
          if (--left === 0) resolve();
        };
      });
    },
    release() {
      held = undefined;
      release();
    },
  };
}

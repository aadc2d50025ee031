import { constants } from "node:os";
import { cancelled } from "../core/index.ts";

const watched = ["SIGINT", "SIGTERM"] as const;
type Watched = (typeof watched)[number];

/** The program was told to stop. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  /** What shells report of a program that a signal ended. */
  readonly exit: number;

  constructor(signal: Watched) {
    super("cancelled");
    this.exit = exitOf(signal);
  }
}

/** Ctrl-C and its like while a call runs. Disposing it gives the signals back to Node. */
export interface Interrupts extends Disposable {
  /** Aborted by the first signal, so that the call is cancelled and the agent stops; only then the program ends. */
  readonly signal: AbortSignal;
  /** Set once {@link Interrupts.signal} is aborted. */
  readonly reason: Interrupted | undefined;
  /** What a signal does; for terminals in raw mode, where Ctrl-C is a key and no signal. */
  take(signal: Watched): void;
}

/**
 * Watches for SIGINT and SIGTERM. The first aborts {@link Interrupts.signal}; a second one ends the program at once.
 *
 * @param handled may deal with a signal in another way; true keeps it from counting.
 */
export function watchInterrupts(handled: (signal: Watched) => boolean = () => false): Interrupts {
  const controller = new AbortController();
  let reason: Interrupted | undefined;
  const take = (signal: Watched) => {
    if (handled(signal)) return;
    if (reason !== undefined) process.exit(exitOf(signal));
    reason = new Interrupted(signal);
    controller.abort(cancelled("the caller was interrupted")); // a ConnectError: as anything else the call would fail, not stop
  };
  for (const signal of watched) process.on(signal, take);
  return {
    signal: controller.signal,
    get reason() {
      return reason;
    },
    take,
    [Symbol.dispose]() {
      for (const signal of watched) process.off(signal, take);
    },
  };
}

function exitOf(signal: Watched): number {
  return 128 + constants.signals[signal];
}

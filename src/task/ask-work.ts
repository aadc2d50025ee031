import type { AskOptions } from "../agent/index.ts";
import type { AgentEvent } from "../core/index.ts";
import { abortError, cancelled, deadlineExceeded, timers, untilAborted } from "../core/index.ts";
import type { Additions } from "./additions.ts";
import type { Meter } from "./meter.ts";
import type { Work } from "./place.ts";

/** What one ask works under: the asker's own work, with less time and an end of its own. */
class AskWork implements Work {
  readonly #above: Work;
  readonly #controller = new AbortController();
  readonly deadlineMs: number;

  constructor(above: Work, deadlineMs: number) {
    this.#above = above;
    this.deadlineMs = deadlineMs;
  }

  get identity() {
    return this.#above.identity;
  }

  get envelope() {
    return this.#above.envelope;
  }

  get meter(): Meter {
    return this.#above.meter;
  }

  /** Whoever was left behind adds nothing any more. */
  get additions(): Additions {
    this.signal.throwIfAborted();
    return this.#above.additions;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(error: unknown): void {
    this.#controller.abort(error);
  }
}

/** One ask. */
interface AskInit {
  readonly options: AskOptions;
  /** As of {@link deadlineOf}. */
  readonly deadlineMs: number;
  /** The agents from the outermost to the one that is asked, for errors. */
  readonly chain: string;
  /** Asks, under this work. */
  start(work: Work): AsyncIterable<AgentEvent>;
}

/** @throws RangeError for a time that is none. */
export function checkAskOptions({ timeoutMs }: AskOptions): void {
  if (timeoutMs !== undefined && !(timeoutMs >= 0)) throw new RangeError(`timeoutMs is ${timeoutMs}; it must be 0 or more`);
}

/** Until when an ask may take, in milliseconds since the epoch: the asker's own time is the most. */
export function deadlineOf(above: Work, { timeoutMs = Number.POSITIVE_INFINITY }: AskOptions): number {
  return Math.min(above.deadlineMs, Date.now() + Math.ceil(timeoutMs));
}

/**
 * What one ask gives, until its time is over, its signal or the asker's is aborted, or its reader leaves. Whoever is asked hears of it, and is not waited
 * for.
 *
 * @throws ConnectError DEADLINE_EXCEEDED, CANCELLED, both naming the chain; what ended the asker; what the ask fails with.
 */
export async function* askEvents(above: Work, { options, deadlineMs, chain, start }: AskInit): AsyncGenerator<AgentEvent> {
  const { timeoutMs, signal } = options;
  if (timeoutMs === undefined && signal === undefined) return yield* start(above);
  const work = new AskWork(above, deadlineMs);
  const late = () => work.abort(deadlineExceeded(`${chain}: it took longer than the ${timeoutMs} ms that it was given`));
  const due = deadlineMs < above.deadlineMs ? timers.schedule(deadlineMs - Date.now(), late) : undefined;
  const stop = () => work.abort(abortError(signal?.reason, `${chain}: whoever asked has stopped it`));
  const stopWithAbove = () => work.abort(above.signal.reason);
  signal?.addEventListener("abort", stop);
  above.signal.addEventListener("abort", stopWithAbove);
  let isOver = false;
  try {
    yield* untilAborted(start(work), work.signal);
    isOver = true;
  } finally {
    due?.cancel();
    signal?.removeEventListener("abort", stop);
    above.signal.removeEventListener("abort", stopWithAbove);
    if (!isOver) work.abort(cancelled(`${chain}: nobody waits for it any more`));
  }
}

import { setTimeout as pause } from "node:timers/promises";
import { ConnectError } from "../../src/index.ts";

/** Calls that start at a fixed rate, whether or not those before have ended. */
export interface Load {
  /** Calls that were started. */
  readonly offered: number;
  /** What the calls that failed failed with. */
  readonly failures: readonly ConnectError[];
  /** Calls that each replica has answered, by its name. */
  readonly answers: ReadonlyMap<string, number>;
  /** Starts no more, and settles when the last call is over. */
  stop(): Promise<void>;
}

const tickMs = 5;

/** @param call makes one call, and gives the name of the replica that answered. */
export function startLoad(callsPerSecond: number, call: () => Promise<string>): Load {
  const answers = new Map<string, number>();
  const failures: ConnectError[] = [];
  const open = new Set<Promise<void>>();
  const startMs = performance.now();
  let offered = 0;
  const begin = () => {
    const ended = call().then(
      (name) => void answers.set(name, (answers.get(name) ?? 0) + 1),
      (thrown: unknown) => void failures.push(ConnectError.from(thrown)),
    );
    open.add(ended);
    void ended.then(() => open.delete(ended));
  };
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startMs) * callsPerSecond) / 1_000);
    for (; offered < due; offered++) begin();
  }, tickMs);
  return {
    get offered() {
      return offered;
    },
    failures,
    answers,
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
    },
  };
}

/** Waits until it is true, and gives the milliseconds that took; infinity when it is not after `atMostMs`. */
export async function until(condition: () => boolean, atMostMs: number): Promise<number> {
  const startMs = performance.now();
  while (!condition()) {
    if (performance.now() - startMs > atMostMs) return Number.POSITIVE_INFINITY;
    await pause(tickMs);
  }
  return performance.now() - startMs;
}

/** For people: what went wrong, each kind once. */
export function kindsOf(failures: readonly ConnectError[]): string {
  const kinds = new Map<string, number>();
  for (const { message } of failures) kinds.set(message, (kinds.get(message) ?? 0) + 1);
  return [...kinds].map(([message, count]) => `${count} × ${message}`).join("; ");
}

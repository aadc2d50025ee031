import type { Random } from "../../core/index.ts";

/** What can be picked. */
export interface Candidate {
  /** Takes one more call now. */
  readonly free: boolean;
  /** What one more call would cost there, in any unit that all share. */
  costAt(nowMs: number): number;
}

/** Picks one of the candidates for the next call. It may pick one that is not free. */
export type Picker = <C extends Candidate>(candidates: readonly C[], nowMs: number) => C | undefined;

/**
 * Two at random, and the better of them (Mitzenmacher, "The Power of Two Choices"): nearly as even as to look at all, and no herd
 * runs to the one that is best at the moment.
 */
export function powerOfTwoChoices(random: Random): Picker {
  return (candidates, nowMs) => {
    const { length } = candidates;
    if (length < 2) return candidates[0];
    const one = Math.floor(random() * length);
    const step = 1 + Math.floor(random() * (length - 1));
    const first = candidates[one];
    const second = candidates[(one + step) % length];
    if (first === undefined || second === undefined) return first; // never: both are in range
    if (first.free !== second.free) return first.free ? first : second;
    return second.costAt(nowMs) < first.costAt(nowMs) ? second : first;
  };
}

/** One after another. The first is drawn, so that clients which start together do not all begin at the same. */
export function roundRobin(random: Random): Picker {
  let next = Math.floor(random() * 0x1_0000);
  return (candidates) => candidates[next++ % Math.max(1, candidates.length)];
}

/** By the names that options use. */
export const pickers = { "power-of-two-choices": powerOfTwoChoices, "round-robin": roundRobin } as const;

import { type BenchCase, type Floor, ourName } from "./case.ts";
import { formatNumber } from "./measure.ts";

/** What became of a promise. */
export interface Verdict {
  /** What ours is held against: a peer, or a unit when the floor is a figure. */
  readonly against: string;
  readonly floor: number;
  readonly met: boolean;
  /** The peer, where there is one. */
  readonly peer?: string;
  /** For people: what came out, and what was promised. */
  readonly measured: string;
  readonly promise: string;
}

/** The promises of one result, by its subjects' medians. One that a subject is missing for is not met. */
export function judge(benchCase: BenchCase, result: string, values: ReadonlyMap<string, number>): Verdict[] {
  const { floors = {}, figures = {} } = benchCase;
  const own = values.get(ourName(benchCase)) ?? Number.NaN;
  const figure = figures[result];
  return [
    ...(figure === undefined ? [] : [judgeFigure(benchCase, own, figure)]),
    ...Object.entries(floors).map(([peer, floor]) =>
      judgePeer(benchCase, { peer, own, other: values.get(peer) ?? Number.NaN }, floor),
    ),
  ];
}

/** How many times better one value is than another. */
export function ratioOf({ better }: BenchCase, one: number, other: number): number {
  return better === "higher" ? one / other : other / one;
}

function judgeFigure({ better, unit }: BenchCase, own: number, floor: number): Verdict {
  const [met, bound] = better === "higher" ? [own >= floor, "at least"] : [own <= floor, "at most"];
  return {
    against: unit,
    floor,
    met,
    measured: `${formatNumber(own)} ${unit}`,
    promise: `${bound} ${floor.toLocaleString("en")} ${unit}`,
  };
}

function judgePeer(benchCase: BenchCase, pair: { peer: string; own: number; other: number }, promised: Floor): Verdict {
  const { peer, own, other } = pair;
  if ("within" in promised) {
    const { unit, better } = benchCase;
    const distance = better === "lower" ? own - other : other - own;
    const against = `${unit} behind ${peer}`;
    const { within: floor } = promised;
    return {
      against,
      floor,
      met: distance <= floor,
      peer,
      measured: `${formatNumber(distance)} ${against}`,
      promise: `at most ${floor} ${unit}`,
    };
  }
  const { floor, aim } = promised;
  const ratio = ratioOf(benchCase, own, other);
  const aimed = aim === undefined ? "" : ratio >= aim ? `, aim ${aim} reached` : `, aim ${aim}`;
  return {
    against: peer,
    floor,
    met: ratio >= floor,
    peer,
    measured: `${ratio.toFixed(2)} × ${peer}`,
    promise: `floor ${floor}${aimed}`,
  };
}

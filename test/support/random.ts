/** Gives a whole number of 0 or more below its argument. */
export type Random = (below: number) => number;

/** What the random tests of this run start from: SEED repeats a run. */
export const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

/** A small generator of repeatable numbers (mulberry32). */
export function createRandom(start: number): Random {
  let state = start;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Flips, cuts, repeats or inserts bytes. */
export function mutate(bytes: Buffer, random: Random): Buffer {
  const mutated = Buffer.from(bytes);
  const at = random(bytes.length);
  switch (random(4)) {
    case 0:
      for (let count = 1 + random(4); count > 0; count--) mutated[random(bytes.length)] = random(256);
      return mutated;
    case 1:
      return mutated.subarray(0, at);
    case 2:
      return Buffer.concat([mutated.subarray(0, at), mutated]);
    default:
      return Buffer.concat([mutated.subarray(0, at), Buffer.from([random(256), random(256)]), mutated.subarray(at)]);
  }
}

/** Random bytes, fewer than `below`. */
export function bytesOf(random: Random, below: number): Buffer {
  const bytes = Buffer.allocUnsafe(random(below));
  for (let index = 0; index < bytes.length; index++) bytes[index] = random(256);
  return bytes;
}

/** The bytes in up to five pieces, some of them empty. */
export function split(bytes: Buffer, random: Random): Buffer[] {
  const cuts = Array.from({ length: random(5) }, () => random(bytes.length + 1)).sort((one, other) => one - other);
  return [0, ...cuts].map((start, index) => bytes.subarray(start, cuts[index] ?? bytes.length));
}

export function pick<T>(random: Random, ...choices: [T, ...T[]]): T {
  return choices[random(choices.length)] ?? choices[0];
}

import { defaultLimits, resolveLimits } from "../src/core/index.ts";

test("limits that are not given are the defaults", () => {
  expect(resolveLimits({ maxTurns: 3 })).toEqual({ ...defaultLimits, maxTurns: 3 });
});

test.each<[Record<string, number>, RegExp]>([
  [{ maxTruns: 3 }, /no limit "maxTruns"/],
  [{ maxTurns: -1 }, /"maxTurns" is -1/],
  [{ maxTurns: 1.5 }, /"maxTurns" is 1.5/],
  [{ maxTurns: Number.NaN }, /"maxTurns" is NaN/],
])("a wrong limit is refused by name: %j", (overrides, message) => {
  expect(() => resolveLimits(overrides)).toThrow(message);
});

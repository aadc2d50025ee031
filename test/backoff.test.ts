import { createBackoff } from "../src/core/index.ts";

const waits = (count: number, options = {}) => {
  const backoff = createBackoff({ random: () => 0.5, ...options });
  return Array.from({ length: count }, () => Math.round(backoff.nextMs()));
};

test("waits grow from a second by 1.6 to two minutes (gRPC connection backoff)", () => {
  expect(waits(13)).toEqual([
    1_000, 1_600, 2_560, 4_096, 6_554, 10_486, 16_777, 26_844, 42_950, 68_719, 109_951, 120_000, 120_000,
  ]);
});

test("they differ by up to a fifth, so that many who failed together do not come back together", () => {
  expect(waits(2, { random: () => 0 })).toEqual([800, 1_280]);
  expect(waits(2, { random: () => 1 })).toEqual([1_200, 1_920]);
});

test("the longest wait bounds the first too, and a success begins anew", () => {
  const backoff = createBackoff({ initialMs: 500, maxMs: 300, jitter: 0 });
  expect([backoff.nextMs(), backoff.nextMs()]).toEqual([300, 300]);
  const growing = createBackoff({ initialMs: 100, multiplier: 2, jitter: 0 });
  expect([growing.nextMs(), growing.nextMs()]).toEqual([100, 200]);
  growing.reset();
  expect(growing.nextMs()).toBe(100);
});

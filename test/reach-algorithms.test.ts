import { Code, ConnectError } from "@connectrpc/connect";
import { Breaker } from "../src/client/reach/breaker.ts";
import { Latency, UsualLatency } from "../src/client/reach/latency.ts";
import { type Host, sweepOutliers } from "../src/client/reach/outliers.ts";
import { Penalty } from "../src/client/reach/penalty.ts";
import { powerOfTwoChoices, roundRobin } from "../src/client/reach/picker.ts";
import { isRetryable, pushbackOf, resolveRetry, retryInfoMs } from "../src/client/reach/retry.ts";
import { RetryBudget } from "../src/client/reach/retry-budget.ts";
import { createBackoff, resourceExhausted, unavailable } from "../src/core/index.ts";
import type { AttemptEnd } from "../src/wire/index.ts";
import { createRandom } from "./support/random.ts";

/** Repeatable numbers of 0 or more below 1. */
function seeded(): () => number {
  const random = createRandom(42);
  return () => random(1_000_000) / 1_000_000;
}

const middle = () => 0.5;

describe("waits", () => {
  test.each<[what: string, random: number, waits: number[]]>([
    ["grow by the multiplier up to the longest", 0.5, [1_000, 1_600, 2_560, 4_096, 6_000, 6_000]],
    ["are a fifth shorter at least", 0, [800, 1_280, 2_048]],
    ["are a fifth longer at most", 1, [1_200, 1_920, 3_072]],
  ])("%s", (_what, random, waits) => {
    const backOff = createBackoff({ initialMs: 1_000, multiplier: 1.6, maxMs: 6_000, random: () => random });
    for (const wait of waits) expect(backOff.nextMs()).toBeCloseTo(wait, 6);
    backOff.reset();
    expect(backOff.nextMs()).toBeCloseTo(waits[0] ?? 0, 6);
  });
});

describe("power of two choices", () => {
  const candidate = (cost: number, free = true) => ({ free, costAt: () => cost });

  function share(costs: readonly number[]): number[] {
    const picker = powerOfTwoChoices(seeded());
    const candidates = costs.map((cost) => candidate(cost));
    const picked = Array.from({ length: 3_000 }, () => picker(candidates, 0));
    const counts = costs.map(() => 0);
    for (let pick = 0; pick < 3_000; pick++) {
      const index = candidates.indexOf(picked[pick] ?? candidate(0));
      counts[index] = (counts[index] ?? 0) + 1;
    }
    return counts.map((count) => count / 3_000);
  }

  test("spreads equal ones evenly", () => {
    for (const each of share([1, 1, 1, 1])) expect(each).toBeCloseTo(1 / 4, 1);
  });

  test("never takes the worst, and the best most often", () => {
    const [best = 0, good = 0, worst = 0] = share([1, 2, 10]);
    expect(worst).toBe(0);
    expect(best).toBeGreaterThan(good);
    expect(best).toBeCloseTo(2 / 3, 1);
  });

  test("takes one that has room before a better one that has none", () => {
    const picker = powerOfTwoChoices(seeded());
    const full = candidate(1, false);
    const free = candidate(9);
    for (let pick = 0; pick < 20; pick++) expect(picker([full, free], 0)).toBe(free);
  });

  test("has nothing to choose among one or none", () => {
    const only = candidate(1);
    expect(powerOfTwoChoices(middle)([only], 0)).toBe(only);
    expect(powerOfTwoChoices(middle)([], 0)).toBeUndefined();
  });
});

test("round robin takes one after another, wherever it began", () => {
  const candidates = ["a", "b", "c"].map((name) => ({ name, free: true, costAt: () => 0 }));
  const picker = roundRobin(seeded());
  const names = Array.from({ length: 6 }, () => picker(candidates, 0)?.name);
  expect(new Set(names.slice(0, 3))).toEqual(new Set(["a", "b", "c"]));
  expect(names.slice(3)).toEqual(names.slice(0, 3));
  expect(picker([], 0)).toBeUndefined();
});

describe("latency", () => {
  test("is what is usual while nothing is known", () => {
    const usual = new UsualLatency();
    const latency = new Latency(usual);
    expect(latency.at(0)).toBe(1);
    usual.observe(20);
    expect(latency.at(0)).toBe(20);
  });

  test("jumps to a peak, and comes down slowly", () => {
    const usual = new UsualLatency();
    usual.observe(10);
    const latency = new Latency(usual);
    latency.observe(10, 0);
    latency.observe(100, 10);
    expect(latency.at(10)).toBe(100);
    latency.observe(10, 20);
    expect(latency.at(20)).toBeGreaterThan(95);
  });

  test("fades to what is usual: within a second, or ten usual answers if they take longer", () => {
    for (const [usualMs, fadeMs] of [
      [10, 1_000],
      [2_000, 20_000],
    ] as const) {
      const usual = new UsualLatency();
      usual.observe(usualMs);
      const latency = new Latency(usual);
      latency.observe(11 * usualMs, 0);
      expect(latency.at(fadeMs)).toBeCloseTo(usualMs * (1 + 10 / Math.E), 6);
      expect(latency.at(20 * fadeMs)).toBeCloseTo(usualMs, 3);
    }
  });

  test("of a call that was given up counts only when it is the longer one", () => {
    const latency = new Latency(new UsualLatency());
    latency.observe(50, 0);
    latency.raise(20, 0);
    expect(latency.at(0)).toBe(50);
    latency.raise(80, 0);
    expect(latency.at(0)).toBe(80);
    latency.forget();
    expect(latency.at(0)).toBe(1);
  });
});

test("a refusal makes an endpoint look a hundred times slower, and is forgotten in seconds; other failures add up", () => {
  const penalty = new Penalty();
  expect(penalty.at(0)).toBe(1);
  penalty.refused(0);
  expect([penalty.at(0), penalty.at(1_000) > 30, penalty.at(10_000) < 1.01]).toEqual([100, true, true]);
  penalty.forget();
  penalty.failed(20_000);
  expect(penalty.at(20_000)).toBe(5);
  for (let failure = 0; failure < 100; failure++) penalty.failed(20_000);
  expect(penalty.at(20_000)).toBe(100);
});

describe("the breaker", () => {
  const create = () => {
    const changes: string[] = [];
    const breaker: Breaker = new Breaker({ random: middle, onChange: () => changes.push(breaker.state) });
    const fail = (times: number, unreached = true) => {
      for (let time = 0; time < times; time++) breaker.failed(unreached);
    };
    return { breaker, changes, fail };
  };

  test("opens with the fifth failure in a row", () => {
    const { breaker, changes, fail } = create();
    fail(4);
    breaker.succeeded();
    fail(4);
    expect(breaker.state).toBe("closed");
    fail(1);
    expect([breaker.state, breaker.openMs, changes]).toEqual(["open", 1_000, ["open"]]);
  });

  test("lets one call through after a second, and waits longer each time that it fails, up to a minute", () => {
    const { breaker, fail } = create();
    fail(5);
    const waits = [breaker.openMs];
    for (let probe = 0; probe < 7; probe++) {
      breaker.wake();
      expect(breaker.state).toBe("probing");
      fail(1);
      waits.push(breaker.openMs);
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  });

  test("closes when the call succeeds, and begins with a second again", () => {
    const { breaker, changes, fail } = create();
    fail(5);
    breaker.wake();
    fail(1);
    breaker.wake();
    breaker.succeeded();
    expect(breaker.state).toBe("closed");
    fail(5);
    expect(breaker.openMs).toBe(1_000);
    expect(changes).toEqual(["open", "open", "closed", "open"]);
  });

  test("does not count calls from before while it is open, nor wakes when it is closed", () => {
    const { breaker, changes, fail } = create();
    breaker.wake();
    expect(breaker.state).toBe("closed");
    fail(20, false);
    expect([breaker.openMs, breaker.unreached, changes.length]).toEqual([1_000, false, 1]);
  });
});

describe("outlier ejection (gRFC A50)", () => {
  const host = (succeeded: number, failed = 0): Host => ({ succeeded, failed, ejectedAtMs: undefined, ejections: 0 });
  const ejected = (hosts: readonly Host[]) => hosts.flatMap((each, index) => (each.ejectedAtMs === undefined ? [] : [index]));
  const good = (count: number) => Array.from({ length: count }, () => host(100));

  test.each<[what: string, hosts: Host[], out: number[]]>([
    ["four hosts are not compared", [...good(3), host(0, 100)], []],
    ["five are", [...good(4), host(0, 100)], [4]],
    ["a host of few calls is not judged", [...good(5), host(0, 49)], []],
    ["enough calls of which nearly all fail are judged", [...good(5), host(5, 45)], [5]],
    ["a host that fails as all do stays", Array.from({ length: 6 }, () => host(60, 40)), []],
    ["a host far below the others goes, though most of its calls succeed", [...good(9), host(60, 40)], [9]],
    ["one can go among few, and no more", [...good(4), host(0, 100), host(0, 100)], [4]],
    ["a tenth can go among many", [...good(18), host(0, 100), host(0, 100)], [18, 19]],
    ["and no more than a tenth", [...good(17), host(0, 100), host(0, 100), host(0, 100)], [17, 18]],
  ])("%s", (_what, hosts, out) => {
    expect(sweepOutliers(hosts, 0)).toBe(out.length > 0);
    expect(ejected(hosts)).toEqual(out);
    expect(hosts.every(({ succeeded, failed }) => succeeded + failed === 0)).toBe(true);
  });

  test("lasts 30 s the first time, 60 s the second, and never more than 300 s", () => {
    const bad = host(0);
    const hosts = [...good(4), bad];
    let nowMs = 0;
    const lasted: number[] = [];
    for (let time = 0; time < 12; time++) {
      for (const each of hosts) each.succeeded = 100;
      Object.assign(bad, { succeeded: 0, failed: 100 });
      sweepOutliers(hosts, nowMs);
      const sinceMs = nowMs;
      while (bad.ejectedAtMs !== undefined) {
        nowMs += 10_000;
        sweepOutliers(hosts, nowMs);
      }
      lasted.push(nowMs - sinceMs);
    }
    expect(lasted.slice(0, 3)).toEqual([30_000, 60_000, 90_000]);
    expect(lasted.at(-1)).toBe(300_000);
  });

  test("is shorter again after sweeps without one", () => {
    const bad = { ...host(0), ejections: 3 };
    const hosts = [...good(4), bad];
    for (let sweep = 0; sweep < 5; sweep++) sweepOutliers(hosts, sweep * 10_000);
    expect(bad.ejections).toBe(0);
  });
});

describe("the retry budget", () => {
  test("ends retries at half of its tokens, and allows them again after enough successes", () => {
    const budget = new RetryBudget();
    for (let call = 0; call < 2_000; call++) budget.offered(0);
    let retries = 0;
    for (let failure = 0; failure < 200; failure++) {
      budget.failed();
      if (budget.take(0)) retries++;
    }
    expect(retries).toBe(49);
    for (let success = 0; success < 490; success++) budget.succeeded();
    expect(budget.take(0)).toBe(false);
    for (let success = 0; success < 520; success++) budget.succeeded();
    expect(budget.take(0)).toBe(true);
  });

  test("never lets retries be more than 15 % of the last ten seconds' calls, but for a few", () => {
    const budget = new RetryBudget();
    let nowMs = 0;
    const take = (times: number) => Array.from({ length: times }, () => budget.take(nowMs)).filter(Boolean).length;
    expect(take(50)).toBe(10);
    nowMs = 11_000;
    for (let call = 0; call < 200; call++) budget.offered(nowMs);
    expect(take(50)).toBe(30);
    nowMs = 15_000;
    expect(take(50)).toBe(0);
    nowMs = 21_500;
    expect(take(50)).toBe(10);
  });

  test.each([50, 500, 5_000])("keeps the load of a storm of %i calls under 1.2 × what is offered", (calls) => {
    const budget = new RetryBudget();
    let nowMs = 0;
    let seen = 0;
    for (let call = 0; call < calls; call++) {
      nowMs += 2;
      budget.offered(nowMs);
      seen++;
      budget.failed();
      for (let attempt = 1; attempt < 4 && budget.take(nowMs); attempt++) {
        seen++;
        budget.failed();
      }
    }
    expect(seen / calls).toBeLessThanOrEqual(1.2);
  });
});

describe("what may be sent again (gRFC A6)", () => {
  const settings = resolveRetry({});
  const error = (code: Code, pushback?: string) => {
    return new ConnectError("", code, pushback === undefined ? {} : { "grpc-retry-pushback-ms": pushback });
  };

  test.each<[what: string, error: ConnectError, how: AttemptEnd, idempotent: boolean, again: boolean]>([
    ["UNAVAILABLE of an idempotent call", error(Code.Unavailable), "answered", true, true],
    ["UNAVAILABLE of another call", error(Code.Unavailable), "answered", false, false],
    ["a lost connection, of an idempotent call", error(Code.Unavailable), "broken", true, true],
    ["a lost connection, of another call", error(Code.Unavailable), "broken", false, false],
    ["what the server did not begin", error(Code.Unavailable), "unprocessed", false, true],
    ["an attempt that was late", error(Code.DeadlineExceeded), "late", true, true],
    ["the deadline as the server sees it", error(Code.DeadlineExceeded), "answered", true, false],
    ["INTERNAL", error(Code.Internal), "answered", true, false],
    ["RESOURCE_EXHAUSTED without a word on when", error(Code.ResourceExhausted), "answered", true, false],
    ["RESOURCE_EXHAUSTED with a pushback", error(Code.ResourceExhausted, "10"), "answered", true, true],
    [
      "RESOURCE_EXHAUSTED with a RetryInfo",
      resourceExhausted({ subject: "s", description: "d", retryMs: 5 }),
      "answered",
      true,
      true,
    ],
  ])("%s", (_what, failed, how, idempotent, again) => {
    expect(isRetryable({ error: failed, how, idempotent }, settings)).toBe(again);
  });

  test("also codes that are declared retryable, of any method", () => {
    const declared = resolveRetry({ codes: [Code.Aborted] });
    expect(isRetryable({ error: error(Code.Aborted), how: "answered", idempotent: false }, declared)).toBe(true);
  });

  test.each<[value: string, pushback: number | "none"]>([
    ["0", 0],
    ["250", 250],
    ["-1", "none"],
    ["soon", "none"],
    ["1.5", "none"],
    ["99999999999", "none"],
  ])("grpc-retry-pushback-ms: %s", (value, pushback) => {
    expect(pushbackOf(error(Code.Unavailable, value))).toBe(pushback);
  });

  test("RetryInfo is read", () => {
    expect(retryInfoMs(unavailable("", 1_250))).toBe(1_250);
    expect([retryInfoMs(error(Code.Unavailable)), pushbackOf(error(Code.Unavailable))]).toEqual([undefined, undefined]);
  });

  test.each([
    { maxAttempts: 0 },
    { maxAttempts: 6 },
    { maxAttempts: 1.5 },
    { initialBackOffMs: -1 },
    { backOffMultiplier: 0.5 },
  ])("%j is refused", (options) => {
    expect(() => resolveRetry(options)).toThrow(RangeError);
  });
});

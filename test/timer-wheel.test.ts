import { TimerWheel } from "../src/core/timer-wheel.ts";
import { createRandom, seed } from "./support/random.ts";

const { jest } = import.meta;

const stepMs = 5;
const turnMs = 4_096 * stepMs;

/** Notes how long a turn of the event loop took at most, which is what nobody can be punctual below. */
function watchLoop() {
  let lagMs = 0;
  let lastMs = performance.now();
  let watching = true;
  const look = () => {
    const nowMs = performance.now();
    lagMs = Math.max(lagMs, nowMs - lastMs);
    lastMs = nowMs;
    if (watching) setImmediate(look);
  };
  setImmediate(look);
  return () => {
    watching = false;
    return lagMs;
  };
}

/** Schedules and waits for all; how much each was late. */
function lateness(wheel: TimerWheel, delaysMs: readonly number[]): Promise<number[]> {
  const each = delaysMs.map((delayMs) => {
    const dueMs = performance.now() + delayMs;
    return new Promise<number>((resolve) => {
      wheel.schedule(delayMs, () => resolve(performance.now() - dueMs));
    });
  });
  return Promise.all(each);
}

test("nothing fires early, and nothing later than two steps and the event loop", async () => {
  const random = createRandom(seed);
  const stop = watchLoop();
  const late = await lateness(
    new TimerWheel(),
    Array.from({ length: 500 }, () => random(100_000) / 1_000),
  );
  const lagMs = stop();
  expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...late)).toBeLessThanOrEqual(2 * stepMs + 1 + 2 * lagMs);
});

test("what is cancelled never fires, however often and late it is cancelled", async () => {
  const wheel = new TimerWheel();
  const fired: string[] = [];
  const cancelled = wheel.schedule(10, () => fired.push("cancelled"));
  cancelled.cancel();
  cancelled.cancel();
  const first = wheel.schedule(0, () => fired.push("first"));
  await lateness(wheel, [30]);
  first.cancel();
  expect(fired).toEqual(["first"]);
  await lateness(wheel, [0]); // and the wheel goes on
});

test("what is due at the same time can cancel one another", async () => {
  const wheel = new TimerWheel();
  let fired = 0;
  const all = Array.from({ length: 10 }, () =>
    wheel.schedule(10, () => {
      fired++;
      for (const each of all) each.cancel();
    }),
  );
  await lateness(wheel, [40]);
  expect(fired).toBeGreaterThanOrEqual(1);
  expect(fired).toBeLessThanOrEqual(2); // their delays began a moment apart, so they may lie in two steps
});

test("10,000 fire in the order of their steps, also after the process was busy", async () => {
  const random = createRandom(seed);
  const wheel = new TimerWheel();
  const steps: number[] = [];
  const nowMs = performance.now();
  const clock = jest.spyOn(performance, "now").mockReturnValue(nowMs); // all of them are scheduled at one moment
  for (let count = 0; count < 10_000; count++) {
    const delayMs = random(80);
    wheel.schedule(delayMs, () => steps.push(Math.floor((nowMs + delayMs) / stepMs)));
  }
  clock.mockRestore();
  while (performance.now() - nowMs < 60); // busy
  await lateness(wheel, [100]);
  expect(steps).toHaveLength(10_000);
  expect(steps).toEqual(steps.toSorted((one, other) => one - other));
});

test("what is due beyond a turn of the wheel is passed over in its slot", async () => {
  const wheel = new TimerWheel();
  let early = false;
  const far = [20, 25, 30].map((delayMs) =>
    wheel.schedule(turnMs + delayMs, () => {
      early = true;
    }),
  );
  await lateness(wheel, [20, 25, 30, 50]);
  expect(early).toBe(false);
  for (const each of far) each.cancel();
});

describe("by a clock of the test", () => {
  beforeEach(() => {
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  test.each([0, 1, 5, 19, 1_000, turnMs - 5, turnMs, turnMs + 1, 3 * turnMs + 7])("%d ms fire in their time", (delayMs) => {
    const wheel = new TimerWheel();
    const startMs = performance.now();
    let lateMs: number | undefined;
    wheel.schedule(delayMs, () => {
      lateMs = performance.now() - startMs - delayMs;
    });
    jest.advanceTimersByTime(delayMs + 2 * stepMs);
    expect(lateMs).toBeGreaterThanOrEqual(0);
    expect(lateMs).toBeLessThanOrEqual(2 * stepMs);
  });

  test("what is scheduled by what fires is not lost for a turn", () => {
    const wheel = new TimerWheel();
    let fired = 0;
    const again = () => {
      fired++;
      wheel.schedule(0, again);
    };
    wheel.schedule(0, again);
    wheel.schedule(turnMs, () => {}); // the wheel does not come to rest between
    jest.advanceTimersByTime(100);
    expect(fired).toBeGreaterThanOrEqual(9);
  });

  test("everything that is due fires after the process stood still for longer than a turn", () => {
    const wheel = new TimerWheel();
    const fired: number[] = [];
    for (const delayMs of [10, turnMs + 10, 2 * turnMs]) wheel.schedule(delayMs, () => fired.push(delayMs));
    wheel.schedule(4 * turnMs, () => fired.push(4 * turnMs));
    const nowMs = performance.now();
    const clock = jest.spyOn(performance, "now").mockReturnValue(nowMs + 3 * turnMs);
    jest.advanceTimersByTime(stepMs);
    clock.mockRestore();
    expect(fired.sort((one, other) => one - other)).toEqual([10, turnMs + 10, 2 * turnMs]);
  });
});

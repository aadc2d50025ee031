import { Code, ConnectError } from "@connectrpc/connect";
import type { AskOptions } from "../src/index.ts";
import { deferred, everywhere, inAgent, specialist } from "./support/asking.ts";

async function failure(call: Promise<unknown>): Promise<ConnectError> {
  const thrown = await call.then(
    () => new Error("it did not fail"),
    (reason: unknown) => reason,
  );
  return ConnectError.from(thrown);
}

/** An agent that says something and then never ends, whatever its signal says. */
function stubborn() {
  const working = deferred<void>();
  const stopped = deferred<ConnectError>();
  let isAtWork = false;
  const agent = specialist("stubborn", async function* (_task, { signal }) {
    signal.addEventListener("abort", () => stopped.resolve(ConnectError.from(signal.reason)));
    yield "at work";
    isAtWork = true;
    working.resolve();
    await new Promise(() => {});
  });
  return { agent, working: working.promise, isAtWork: () => isAtWork, stopped: stopped.promise };
}

describe.each(everywhere)("an agent %s", (where) => {
  /** Another server has a clock of its own: it may be told first. */
  const ends = where === "of the same server" ? [Code.DeadlineExceeded] : [Code.DeadlineExceeded, Code.Canceled];

  test("that takes longer than its ask allows is left behind: the ask says which hop it was, and its asker goes on", async () => {
    const { agent, isAtWork, stopped } = stubborn();
    const { error, left } = await inAgent({ where, others: [agent] }, async (ctx) => {
      const ask = () => failure(ctx.agents.capability("stubborn").process("x", { timeoutMs: 100 }));
      let error = await ask();
      while (!isAtWork()) error = await ask(); // it takes longer to reach it at first
      return { error, left: ctx.timeoutMs() };
    });
    expect(error.code).toBe(Code.DeadlineExceeded);
    expect(error.rawMessage).toMatch(/^front → stubborn: /);
    expect(left).toBeGreaterThan(0);
    expect(ends).toContain((await stopped).code);
  });

  test("whose ask is stopped by its signal hears of it, and the ask ends with CANCELLED at once", async () => {
    const { agent, working, stopped } = stubborn();
    const error = await inAgent({ where, others: [agent] }, async (ctx) => {
      const controller = new AbortController();
      const ask = failure(ctx.agents.capability("stubborn").process("x", { signal: controller.signal }));
      await working;
      controller.abort();
      return ask;
    });
    expect(error.code).toBe(Code.Canceled);
    expect(error.rawMessage).toBe("front → stubborn: whoever asked has stopped it");
    expect((await stopped).code).toBe(Code.Canceled);
  });

  test("whose asker leaves the stream hears of it", async () => {
    const { agent, stopped } = stubborn();
    await inAgent({ where, others: [agent] }, async (ctx) => {
      const { signal } = new AbortController();
      for await (const _ of ctx.agents.capability("stubborn").stream("x", { signal })) break;
    });
    expect((await stopped).code).toBe(Code.Canceled);
  });

  test.each<[string, AskOptions, number]>([
    ["of the ask, where that is less", { timeoutMs: 5_000 }, 5_000],
    ["of the task, where the ask allows more", { timeoutMs: 600_000 }, 20_000],
    ["of the task, where the ask has no end", { timeoutMs: Number.POSITIVE_INFINITY }, 20_000],
    ["of the task, where the ask says nothing", {}, 20_000],
  ])("has the time %s", async (_what, options, most) => {
    let left = 0;
    const agent = specialist("timed", async function* (_task, ctx) {
      left = ctx.timeoutMs();
      yield "seen";
    });
    const call = { timeoutMs: 20_000 };
    await inAgent({ where, others: [agent], call }, (ctx) => ctx.agents.capability("timed").process("x", options));
    expect(left).toBeLessThanOrEqual(most);
    expect(left).toBeGreaterThan(most / 2);
  });

  test("is not asked when the ask's time is over or its signal is aborted, and the budget is not charged", async () => {
    let asked = 0;
    const agent = specialist("idle", async function* () {
      asked++;
      yield "seen";
    });
    const seen = await inAgent({ where, others: [agent], call: { budget: { calls: 1 } } }, async (ctx) => {
      const { process } = ctx.agents.capability("idle");
      const late = await failure(process("x", { timeoutMs: 0 }));
      const stopped = await failure(process("x", { signal: AbortSignal.abort() }));
      return { late, stopped, calls: ctx.budget.calls };
    });
    expect(seen.late.rawMessage).toBe("the time is over: front → idle");
    expect(seen.late.code).toBe(Code.DeadlineExceeded);
    expect(seen.stopped.rawMessage).toBe("front → idle: whoever asked has stopped it");
    expect(seen.stopped.code).toBe(Code.Canceled);
    expect(seen.calls).toBe(1);
    expect(asked).toBe(0);
  });

  test("is stopped with the ConnectError that the signal of its ask brings", async () => {
    const { agent, working } = stubborn();
    const error = await inAgent({ where, others: [agent] }, async (ctx) => {
      const controller = new AbortController();
      const ask = failure(ctx.agents.capability("stubborn").process("x", { signal: controller.signal }));
      await working;
      controller.abort(new ConnectError("somebody else was faster", Code.Aborted));
      return ask;
    });
    expect(error.code).toBe(Code.Aborted);
  });
});

test.each([-1, Number.NaN, Number.NEGATIVE_INFINITY])("timeoutMs of %p is refused when it is said", async (timeoutMs) => {
  const agent = specialist("idle", async function* () {
    yield "seen";
  });
  const where = "of the same server";
  const thrown = await inAgent({ where, others: [agent] }, async (ctx) => {
    const { stream } = ctx.agents.capability("idle");
    return expect(() => stream("x", { timeoutMs })).toThrow(RangeError);
  });
  expect(thrown).toBeUndefined();
});

test("an agent of the same server that was left behind asks nobody any more, and adds nothing to shared memory", async () => {
  let asked = 0;
  const after = deferred<{ asked: ConnectError; added: unknown }>();
  const open = deferred<void>();
  const leftBehind = specialist("left", async function* (_task, ctx) {
    yield "at work";
    const thread = ctx.memory.thread("notes");
    await open.promise;
    const asked = await failure(ctx.agents.capability("other").process("x"));
    try {
      thread.add("too late");
      after.resolve({ asked, added: "it was added" });
    } catch (thrown) {
      after.resolve({ asked, added: thrown });
    }
  });
  const other = specialist("other", async function* () {
    asked++;
    yield "seen";
  });
  const { asked: refused, added } = await inAgent({ where: "of the same server", others: [leftBehind, other] }, async (ctx) => {
    await failure(ctx.agents.capability("left").process("x", { timeoutMs: 50 }));
    open.resolve();
    return after.promise;
  });
  expect(refused.code).toBe(Code.DeadlineExceeded);
  expect(added).toMatchObject({ code: Code.DeadlineExceeded });
  expect(asked).toBe(0);
});

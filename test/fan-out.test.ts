import { Code, ConnectError } from "@connectrpc/connect";
import { type AgentContext, citation, fanOut } from "../src/index.ts";
import { deferred, everywhere, inAgent, specialist } from "./support/asking.ts";

const names = ["a", "b", "c", "d"];

function asksOf(ctx: AgentContext, asked: readonly string[]) {
  return asked.map((name) => ({ agent: ctx.agents.capability(name), content: `for ${name}` }));
}

/** What an agent's caller would see: a ConnectError as it is. */
async function failure(call: Promise<unknown>): Promise<ConnectError> {
  const thrown = await call.then(
    () => new Error("it did not fail"),
    (reason: unknown) => reason,
  );
  if (thrown instanceof ConnectError) return thrown;
  throw thrown;
}

/** An agent that waits until it is stopped. */
function waiting(name: string) {
  const working = deferred<void>();
  const stopped = deferred<ConnectError>();
  const agent = specialist(name, async function* (_task, { signal }) {
    yield "half";
    yield citation({ uri: `file:${name}` });
    working.resolve();
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    stopped.resolve(ConnectError.from(signal.reason));
    throw signal.reason;
  });
  return { agent, working: working.promise, stopped: stopped.promise };
}

describe.each(everywhere)("asked at once, agents %s", (where) => {
  test("that wait for their turn are not asked after one has failed", async () => {
    let asked = 0;
    const bad = specialist("bad", async function* () {
      asked++;
      yield "before";
      throw new ConnectError("no", Code.FailedPrecondition);
    });
    const error = await inAgent({ where, others: [bad] }, (ctx) =>
      failure(
        fanOut(
          asksOf(
            ctx,
            Array.from({ length: 9 }, () => "bad"),
          ),
          { concurrency: 1 },
        ),
      ),
    );
    expect(error.rawMessage).toBe('"bad", ask 1 of 9: no');
    expect(asked).toBe(1);
  });

  test("each have their outcome when they may settle; what came before a failure is kept", async () => {
    const late = waiting("late");
    const broken = specialist("broken", async function* () {
      yield "so far";
      yield citation({ uri: "file:broken" });
      throw new ConnectError("no more", Code.DataLoss);
    });
    const fine = specialist("fine", async function* () {
      yield "all ";
      yield "of it";
    });
    const others = [late.agent, broken, fine];
    const outcomes = await inAgent({ where, others }, (ctx) => {
      const [first, ...rest] = asksOf(ctx, ["late", "broken", "fine"]);
      return fanOut([...(first ? [{ ...first, timeoutMs: 500 }] : []), ...rest], { mode: "settled" });
    });
    expect(outcomes.map(({ name, content, error }) => [name, content, error?.code])).toEqual([
      ["late", "half", Code.DeadlineExceeded],
      ["broken", "so far", Code.DataLoss],
      ["fine", "all of it", undefined],
    ]);
    expect(outcomes.map(({ events }) => events.map((event) => event.case))).toEqual([
      ["text", "citation"],
      ["text", "citation"],
      ["text", "text"],
    ]);
    expect(outcomes[1]?.citations).toMatchObject([{ uri: "file:broken" }]);
    await late.stopped;
  });

  test.each(["all", "settled"] as const)("end with the signal, and leave nobody at work (%s)", async (mode) => {
    const one = waiting("one");
    const error = await inAgent({ where, others: [one.agent] }, async (ctx) => {
      const controller = new AbortController();
      const { signal } = controller;
      const asked = failure(fanOut(asksOf(ctx, ["one", "one", "one"]), { mode, signal, concurrency: 1 }));
      await one.working;
      controller.abort();
      return asked;
    });
    expect(error.code).toBe(Code.Canceled);
    expect(error.rawMessage).toBe("whoever asked has stopped the asks");
    expect((await one.stopped).code).toBe(Code.Canceled);
  });

  test("are held to the budget of the task", async () => {
    const others = names.map((name) =>
      specialist(name, async function* () {
        yield name;
      }),
    );
    const outcomes = await inAgent({ where, others, call: { budget: { calls: 3 } } }, (ctx) =>
      fanOut(asksOf(ctx, names), { mode: "settled" }),
    );
    expect(outcomes.map(({ error }) => error?.rawMessage)).toEqual([
      ...[undefined, undefined, undefined],
      "the budget of 3 calls is used up: front → d",
    ]);
  });
});

test("an agent of the same server that fails in an unforeseen way is named, and nothing else is told", async () => {
  const bad = specialist("bad", async function* () {
    yield "before";
    throw new Error("secret: /etc/passwd");
  });
  const error = await inAgent({ where: "of the same server", others: [bad] }, (ctx) => failure(fanOut(asksOf(ctx, ["bad"]))));
  expect(error.code).toBe(Code.Internal);
  expect(error.rawMessage).toBe('"bad", ask 1 of 1: agent "bad" failed in an unforeseen way');
});

test("nobody to ask is nothing to wait for", async () => {
  expect(await fanOut([])).toEqual([]);
});

test("a wrong time of one ask is the fault of the code, not of the agent", async () => {
  const agent = specialist("idle", async function* () {
    yield "seen";
  });
  const where = "of the same server";
  const asked = inAgent({ where, others: [agent] }, (ctx) =>
    fanOut([{ agent: ctx.agents.capability("idle"), content: "x", timeoutMs: -1 }], { mode: "settled" }),
  );
  await expect(asked).rejects.toThrow(RangeError);
});

import { setImmediate as turn } from "node:timers/promises";
import { z } from "zod";
import { Status } from "../src/contract/index.ts";
import { allowsTools, type Guardrail, judgedBy, matchesSchema, withinBudget } from "../src/guardrail/index.ts";
import { calls, context, describeGuardrail, finished, gives, judge, reasonsOf, used } from "./support/guardrail-contract.ts";

const waiting = finished([calls("clock")], { status: Status.REQUIRES_TOOL_CALL });

describe("matchesSchema", () => {
  const schema = z.object({ city: z.string(), stops: z.array(z.object({ minutes: z.number().int() })) });
  const guardrail = matchesSchema(schema);

  describeGuardrail("matchesSchema", {
    create: () => matchesSchema(schema),
    passes: finished(['{"city": "Bern",', ' "stops": [{"minutes": 3}]}']),
    blocks: finished(['{"city": 7}']),
  });

  test.each<[text: string, reasons: string[]]>([
    ['{"city":"Bern","stops":[]}\n', []],
    ['{"city":"Bern","stops":[{"minutes":1},{"minutes":"2"}]}', ["stops.1.minutes: "]],
    ['{"city":3}', ["city: ", "stops: "]],
    ["null", ["Invalid input"]],
    ["", ["the answer is no JSON"]],
    ["Bern", ["the answer is no JSON"]],
    ['```json\n{"city":"Bern","stops":[]}\n```', ["the answer is no JSON"]],
    ['{"city":"Bern","stops":[]} and more', ["the answer is no JSON"]],
  ])("of %j it finds %j", async (text, reasons) => {
    expect(await reasonsOf(guardrail, finished([text]))).toEqual(reasons.map((reason) => expect.stringContaining(reason)));
  });

  test("schemas may take their time", async () => {
    const slow = z.string().refine(async (text) => (await turn(text)) === "yes", "must be yes");
    expect(await reasonsOf(matchesSchema(slow), finished(['"yes"']))).toEqual([]);
    expect(await reasonsOf(matchesSchema(slow), finished(['"no"']))).toEqual(["must be yes"]);
  });

  test("a task that waits for tools passes while it has not begun its answer", async () => {
    expect(await judge(guardrail, waiting)).toEqual({ outcome: "pass" });
    expect(await reasonsOf(guardrail, finished(["half"], { status: Status.REQUIRES_TOOL_CALL }))).toHaveLength(1);
  });

  test.each([undefined, null, {}, { "~standard": { version: 2, validate: () => {} } }, { "~standard": { version: 1 } }])(
    "%j is no schema",
    (schema) => {
      expect(() => Reflect.apply(matchesSchema, undefined, [schema])).toThrow(TypeError);
    },
  );
});

describe("withinBudget", () => {
  describeGuardrail("withinBudget", {
    create: () => withinBudget({ tokens: 10, toolCalls: 1, chars: 4 }),
    passes: finished(["four", used(4, 3), used(2, 1), calls("clock")]),
    blocks: finished(["five!"]),
  });

  test.each<[budget: Parameters<typeof withinBudget>[0], reasons: string[]]>([
    [{}, []],
    [{ tokens: 11, toolCalls: 2, chars: 5 }, []],
    [{ tokens: 10 }, ["11 tokens are over the budget of 10"]],
    [{ toolCalls: 1 }, ["2 tool calls are over the budget of 1"]],
    [{ chars: 4 }, ["5 characters are over the budget of 4"]],
    [{ tokens: 0, toolCalls: 0, chars: 0 }, ["11 tokens", "2 tool calls", "5 characters"]],
  ])("%j", async (budget, reasons) => {
    const task = finished(["ab", used(4, 3), calls("a"), "cde", used(4, 0), calls("b")]);
    expect(await reasonsOf(withinBudget(budget), task)).toEqual(reasons.map((reason) => expect.stringContaining(reason)));
  });

  test("counts what the agents that were called have spent", async () => {
    const task = finished(["x", used(1, 1)], { spending: { tokens: 50, calls: 1 } });
    expect(await reasonsOf(withinBudget({ tokens: 49 }), task)).toEqual(["50 tokens are over the budget of 49"]);
  });

  test.each([{ tokens: -1 }, { toolCalls: 0.5 }, { chars: Number.NaN }])("%j is a RangeError", (budget) => {
    expect(() => withinBudget(budget)).toThrow(RangeError);
  });
});

describe("allowsTools", () => {
  describeGuardrail("allowsTools", {
    create: () => allowsTools(["clock", "calendar"]),
    passes: finished([calls("clock"), gives("ten"), calls("calendar"), "ten"]),
    blocks: finished([calls("clock"), calls("shell"), gives("root"), "done"]),
  });

  test("names each call that is not allowed", async () => {
    const task = finished([calls("clock"), calls("shell", "{}", "1"), calls("mail", "{}", "2")]);
    expect(await reasonsOf(allowsTools(["clock"]), task)).toEqual([
      'the call "1" of the tool "shell" is not allowed',
      'the call "2" of the tool "mail" is not allowed',
    ]);
    expect(await reasonsOf(allowsTools([]), finished(["nothing called"]))).toEqual([]);
  });

  test("a predicate sees the arguments", async () => {
    const reads = allowsTools(({ argumentsJson }) => JSON.parse(argumentsJson).write !== true);
    expect(await reasonsOf(reads, finished([calls("disk", '{"write":false}')]))).toEqual([]);
    expect(await reasonsOf(reads, finished([calls("disk", '{"write":true}')]))).toHaveLength(1);
  });

  test("a call that waits for its result is one", async () => {
    expect(await reasonsOf(allowsTools(["calendar"]), waiting)).toHaveLength(1);
  });
});

describe("judgedBy", () => {
  describeGuardrail("judgedBy", {
    create: () => judgedBy(async ({ answer }) => ({ pass: answer === "good", reason: "the answer is bad" })),
    passes: finished(["good"]),
    blocks: finished(["bad"]),
  });

  test("the judge is told task, answer and criteria, and when to stop", async () => {
    const asked: unknown[] = [];
    const criteria = "It rhymes.";
    const guardrail = judgedBy(
      async (question, { signal }) => {
        asked.push(question, signal);
        return { pass: true, reason: "" };
      },
      { criteria },
    );
    expect(await judge(guardrail, finished(["a ", "b"]))).toEqual({ outcome: "pass" });
    expect(asked).toEqual([{ task: "What is asked", answer: "a b", criteria }, context.signal]);
  });

  test("a task that waits for tools and has not begun its answer is not judged", async () => {
    const guardrail = judgedBy(() => Promise.reject(new Error("asked")));
    expect(await judge(guardrail, waiting)).toEqual({ outcome: "pass" });
  });

  test.each([undefined, {}, { pass: "yes", reason: "" }, { pass: true }])("a judgement of %j is none", async (judgement) => {
    const guardrail: Guardrail = Reflect.apply(judgedBy, undefined, [async () => judgement]);
    await expect(judge(guardrail, finished(["x"]))).rejects.toThrow(TypeError);
  });
});

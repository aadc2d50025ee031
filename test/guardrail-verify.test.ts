import { Code } from "@connectrpc/connect";
import type { AgentEvent } from "../src/core/index.ts";
import { type Guardrail, type Verdict, verify } from "../src/guardrail/index.ts";
import { cite, context, finished, refusal, violationsOf } from "./support/guardrail-contract.ts";

const saying = (name: string, verdict: Verdict): Guardrail => ({ name, check: () => verdict });
const replacing = (name: string, from: string, to: string): Guardrail => ({
  name,
  check: ({ content }) => ({ outcome: "amend", result: content.replaceAll(from, to), reasons: [`${from} is ${to}`] }),
});
const told = (trace: readonly AgentEvent[]) =>
  trace.map((event) => (event.case === "text" ? event.value : event.case === "citation" ? `[${event.value.uri}]` : event.case));

test("without guardrails everything passes as it is", async () => {
  const unverified = finished(["a", cite("b")]);
  expect(await verify([], unverified)).toEqual({ result: unverified.result, trace: unverified.trace, amendments: [] });
});

test("guardrails check in order, and each sees what those before it have amended", async () => {
  const seen: string[] = [];
  const watching: Guardrail = {
    name: "watching",
    check({ content }, trace) {
      seen.push(content, ...told(trace));
      return { outcome: "pass" };
    },
  };
  const guardrails = [watching, replacing("first", "cat", "dog"), watching, replacing("second", "dog", "horse"), watching];
  const { result, amendments } = await verify(guardrails, finished(["a cat", " sleeps"]));
  expect(seen).toEqual([
    ...["a cat sleeps", "a cat", " sleeps"],
    ...["a dog sleeps", "a dog", " sleeps"],
    ...["a horse sleeps", "a horse", " sleeps"],
  ]);
  expect(result).toMatchObject({ content: "a horse sleeps", taskId: "task" });
  expect(amendments).toEqual([
    { guardrail: "first", reasons: ["cat is dog"] },
    { guardrail: "second", reasons: ["dog is horse"] },
  ]);
});

test("the first that blocks is the last that checks", async () => {
  let later = 0;
  const counting: Guardrail = {
    name: "later",
    check() {
      later++;
      return { outcome: "pass" };
    },
  };
  const error = await refusal([saying("no", { outcome: "block", reasons: ["one", "two"] }), counting], finished(["x"]));
  expect(later).toBe(0);
  expect(error).toMatchObject({ code: Code.FailedPrecondition, rawMessage: 'guardrail "no": one (and 1 more)' });
  expect(violationsOf(error).map(({ description }) => description)).toEqual(["one", "two"]);
});

test("reasons are cut to what headers can carry", async () => {
  const reasons = Array.from({ length: 50 }, () => "ä".repeat(1_000));
  const violations = violationsOf(await refusal([saying("no", { outcome: "block", reasons })], finished(["x"])));
  expect(violations.map(({ description }) => description.length)).toEqual(Array.from({ length: 10 }, () => 200));
});

test("a caller that leaves ends the check with its own reason, before or meanwhile", async () => {
  const reason = new Error("enough");
  const leaving = new AbortController();
  const hanging: Guardrail = {
    name: "hanging",
    check() {
      leaving.abort(reason);
      return new Promise(() => {});
    },
  };
  const unverified = { ...finished(["x"]), context: { ...context, signal: leaving.signal } };
  await expect(verify([hanging], unverified)).rejects.toBe(reason);
  await expect(verify([saying("yes", { outcome: "pass" })], unverified)).rejects.toBe(reason);
});

test.each<[what: string, steps: Parameters<typeof finished>[0], to: string, trace: string[]]>([
  ["a change within one text", ["a cat", cite("u"), " sleeps"], "a dog sleeps", ["a dog", "[u]", " sleeps"]],
  ["the same", ["a cat", cite("u")], "a cat", ["a cat", "[u]"]],
  ["text before", ["cat", cite("u"), "s"], "a cats", ["a cat", "[u]", "s"]],
  ["text after", ["cat", cite("u")], "cats sleep", ["cats sleep", "[u]"]],
  ["nothing left", ["cat", cite("u"), "s"], "", ["", "[u]", ""]],
  ["a change around a citation: it comes before", ["a cat", cite("u"), "s sleep"], "a dogX sleep", ["a ", "[u]", "dogX sleep"]],
  ["no text to change", [cite("u")], "more", ["[u]", "more"]],
])("an amended trace tells the amended text: %s", async (what, steps, to, trace) => {
  const amending = saying("amending", { outcome: "amend", result: to, reasons: [what] });
  const verified = await verify([amending], finished(steps));
  expect(told(verified.trace)).toEqual(trace);
});

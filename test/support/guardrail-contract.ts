import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { PreconditionFailureSchema } from "../../gen/google/rpc/error_details_pb.js";
import { citation, usage } from "../../src/agent/index.ts";
import { Status, type TaskResponse, TaskResponseSchema, ToolCallSchema, ToolResultSchema } from "../../src/contract/index.ts";
import type { AgentEvent } from "../../src/core/index.ts";
import { type Guardrail, type GuardrailContext, type Unverified, verify } from "../../src/guardrail/index.ts";

/** What a task did; a string is text. */
export type Step = string | AgentEvent;

export const cite = (uri: string, quote = ""): AgentEvent => citation({ uri, quote });
export const used = (prompt: number, completion: number): AgentEvent => usage({ prompt, completion });
export const calls = (toolName: string, argumentsJson = "{}", callId = `call of ${toolName}`): AgentEvent => ({
  case: "toolCall",
  value: create(ToolCallSchema, { callId, toolName, argumentsJson }),
});
export const gives = (result: unknown, more: { isError?: boolean } = {}): AgentEvent => givesText(JSON.stringify(result), more);
export const givesText = (resultJson: string, { isError = false } = {}): AgentEvent => ({
  case: "toolResult",
  value: create(ToolResultSchema, { callId: "a call", resultJson, isError }),
});

export const context: GuardrailContext = {
  task: "What is asked",
  availableTools: [],
  signal: new AbortController().signal,
  timeoutMs: 10_000,
};

/** A finished task, all of it frozen. */
export function finished(steps: readonly Step[], more: MessageInitShape<typeof TaskResponseSchema> = {}): Unverified {
  const trace = steps.map((step): AgentEvent => (typeof step === "string" ? { case: "text", value: step } : step));
  const content = trace.map((event) => (event.case === "text" ? event.value : "")).join("");
  const citations = trace.flatMap((event) => (event.case === "citation" ? [event.value] : []));
  const result = create(TaskResponseSchema, { taskId: "task", content, citations, status: Status.COMPLETED, ...more });
  return { result: frozen(result), trace: frozen(trace), context };
}

function frozen<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  for (const each of Object.values(value)) frozen(each);
  return Object.freeze(value);
}

/** The verdict of a guardrail on its own. */
export async function judge(guardrail: Guardrail, { result, trace, context }: Unverified) {
  return guardrail.check(result, trace, context);
}

/** The reasons why a result is blocked; none when it passes. */
export async function reasonsOf(guardrail: Guardrail, unverified: Unverified): Promise<readonly string[]> {
  const verdict = await judge(guardrail, unverified);
  return verdict.outcome === "block" ? verdict.reasons : [];
}

/** What {@link verify} fails with. */
export async function refusal(guardrails: readonly Guardrail[], unverified: Unverified): Promise<ConnectError> {
  const thrown = await verify(guardrails, unverified).catch((error: unknown) => error);
  if (thrown instanceof ConnectError) return thrown;
  throw new Error(`it was not refused: ${JSON.stringify(thrown)}`);
}

/** The violations that an error names. */
export function violationsOf(error: ConnectError) {
  return error
    .findDetails(PreconditionFailureSchema)
    .flatMap(({ violations }) => violations.map(({ type, subject, description }) => ({ type, subject, description })));
}

export interface GuardrailCases {
  readonly create: () => Guardrail;
  readonly passes: Unverified;
  readonly blocks: Unverified;
}

/** What every guardrail promises. */
export function describeGuardrail(name: string, { create: make, passes, blocks }: GuardrailCases): void {
  describe(`${name}, as every guardrail`, () => {
    test("lets good results pass as they are, the same one many times at once", async () => {
      const guardrail = make();
      const all = await Promise.all(Array.from({ length: 20 }, () => verify([guardrail], passes)));
      for (const { result, trace, amendments } of all) {
        expect(result).toBe(passes.result);
        expect(trace).toBe(passes.trace);
        expect(amendments).toEqual([]);
      }
    });

    test("gives reasons when it blocks: sentences that fit into an error", async () => {
      const verdict = await judge(make(), blocks);
      expect(verdict).toEqual({ outcome: "block", reasons: expect.arrayContaining([expect.stringMatching(/\S+ \S+/)]) });
      const error = await refusal([make()], blocks);
      expect(error.code).toBe(Code.FailedPrecondition);
      expect(error.message).toContain(`guardrail "${name}"`);
      const violations = violationsOf(error);
      expect(violations.length).toBeGreaterThan(0);
      for (const violation of violations) {
        expect(violation).toEqual({ type: "GUARDRAIL", subject: name, description: expect.stringMatching(/^.{5,200}$/) });
      }
    });

    test.each<[how: string, check: Guardrail["check"]]>([
      ["throws at once", () => Promise.reject(new Error("secret: hunter2"))],
      [
        "throws without a promise",
        () => {
          throw new Error("secret: hunter2");
        },
      ],
    ])("blocks when its check %s, and shows nobody why", async (_, check) => {
      const error = await refusal([{ ...make(), check }], passes);
      expect(violationsOf(error)).toEqual([{ type: "GUARDRAIL", subject: name, description: "failed to check the result" }]);
      expect(JSON.stringify([error.message, [...error.metadata], violationsOf(error)])).not.toContain("hunter2");
      expect(error.cause).toEqual(new Error("secret: hunter2"));
    });

    test("blocks when its check hangs beyond its time, and tells it to stop", async () => {
      let told: AbortSignal | undefined;
      const check: Guardrail["check"] = (_result, _trace, { signal }) => {
        told = signal;
        return new Promise(() => {});
      };
      const error = await refusal([{ ...make(), check }], { ...passes, context: { ...context, timeoutMs: 5 } });
      expect(violationsOf(error)).toMatchObject([{ subject: name, description: "took too long to check the result" }]);
      expect(told?.aborted).toBe(true);
    });

    test.each<[verdict: unknown]>([
      [undefined],
      [null],
      [true],
      ["pass"],
      [{}],
      [{ outcome: "passed" }],
      [{ pass: true }],
      [{ outcome: "amend" }],
      [{ outcome: "amend", reasons: ["x"] }],
      [{ outcome: "amend", result: {}, reasons: ["x"] }],
      [{ outcome: "amend", result: null, reasons: ["x"] }],
      [{ outcome: "amend", result: 7, reasons: ["x"] }],
      [{ outcome: "block" }],
      [{ outcome: "block", reasons: [] }],
      [{ outcome: "block", reasons: "x" }],
      [{ outcome: "block", reasons: [undefined] }],
    ])("blocks when it says %j", async (verdict) => {
      const check = () => verdict as TaskResponse & ReturnType<Guardrail["check"]>; // what a guardrail in JavaScript may give
      const error = await refusal([{ ...make(), check }], passes);
      expect(error.code).toBe(Code.FailedPrecondition);
      expect(violationsOf(error)).toMatchObject([
        { type: "GUARDRAIL", subject: name, description: expect.stringMatching(/./) },
      ]);
    });
  });
}

import { setImmediate as nextTick } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import type { Task } from "../agent/index.ts";
import { type GuardrailBlock, GuardrailBlockSchema, PreconditionFailureSchema, Status } from "../contract/index.ts";
import { type AgentEvent, taskBounds } from "../core/index.ts";
import { type Verified, verify } from "../guardrail/index.ts";
import { foldEvents } from "./answer.ts";
import { givenEvents } from "./given.ts";
import { TaskLog } from "./log.ts";
import { Paused } from "./paused.ts";
import type { Place } from "./place.ts";
import { openRequests } from "./requests.ts";
import { statusOfEnd } from "./status.ts";

/**
 * What an agent with guardrails yields, once all of it has passed: until then it is held back, within the bounds of a task's log. Each run of a task
 * that waits for tool results in between is verified on its own.
 *
 * @throws ConnectError what {@link verify} throws, which ends the task and stays in its log; what the task was stopped with.
 */
export async function* guardedRun(
  place: Place,
  task: Task,
  events: AsyncIterable<AgentEvent>,
): AsyncGenerator<AgentEvent, void, undefined> {
  const { agent, work, host } = place;
  const { trace, paused } = await hold(place, events);
  const results = givenEvents(task);
  const all = [...results, ...trace];
  const open = openRequests(all, task.availableTools);
  const status = statusOfEnd(open);
  const result = foldEvents(all, { taskId: task.id, status, open: status === Status.COMPLETED ? undefined : open });
  const { content, availableTools } = task;
  const context = { task: content, availableTools, signal: work.signal, timeoutMs: Math.max(0, work.deadlineMs - Date.now()) };
  let verified: Verified;
  try {
    verified = await verify(agent.guardrails ?? [], { result, trace: all, context });
  } catch (thrown) {
    const value = blockOf(thrown, result.content);
    if (value !== undefined) yield { case: "guardrailBlock", value };
    throw thrown;
  }
  for (const { guardrail } of verified.amendments) {
    host.log.info({ agent: agent.name, taskId: task.id, guardrail }, "guardrail amended the answer");
  }
  yield* verified.trace.slice(results.length);
  if (paused !== undefined) throw paused;
}

/** What the log keeps of it; undefined for what is no block. */
function blockOf(thrown: unknown, text: string): GuardrailBlock | undefined {
  if (!(thrown instanceof ConnectError)) return undefined;
  const violations = thrown.findDetails(PreconditionFailureSchema).flatMap((failure) => failure.violations);
  const [first] = violations;
  if (first?.type !== "GUARDRAIL") return undefined;
  return create(GuardrailBlockSchema, {
    guardrail: first.subject,
    reasons: violations.map(({ description }) => description),
    text,
  });
}

interface Held {
  readonly trace: readonly AgentEvent[];
  /** What ended the run, when it waits for somebody. */
  readonly paused: Paused | undefined;
}

async function hold({ work, host }: Place, events: AsyncIterable<AgentEvent>): Promise<Held> {
  const trace: AgentEvent[] = [];
  const bounds = new TaskLog(host.limits);
  try {
    for await (const event of events) {
      work.signal.throwIfAborted();
      bounds.append(event);
      trace.push(event);
      if (trace.length % taskBounds.maxReadAtOnce === 0) await nextTick(); // an agent that never waits lets others have a turn
    }
  } catch (thrown) {
    if (!(thrown instanceof Paused)) throw thrown;
    return { trace, paused: thrown };
  }
  return { trace, paused: undefined };
}

import { setImmediate as nextTick } from "node:timers/promises";
import type { Task } from "../agent/index.ts";
import { Status } from "../contract/index.ts";
import { type AgentEvent, taskBounds } from "../core/index.ts";
import { verify } from "../guardrail/index.ts";
import { foldEvents } from "./answer.ts";
import { givenEvents } from "./given.ts";
import { TaskLog } from "./log.ts";
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
  const trace = await hold(place, events);
  const results = givenEvents(task);
  const all = [...results, ...trace];
  const open = openRequests(all, task.availableTools);
  const status = statusOfEnd(open);
  const result = foldEvents(all, { taskId: task.id, status, open: status === Status.COMPLETED ? undefined : open });
  const { content, availableTools } = task;
  const context = { task: content, availableTools, signal: work.signal, timeoutMs: Math.max(0, work.deadlineMs - Date.now()) };
  const verified = await verify(agent.guardrails ?? [], { result, trace: all, context });
  for (const { guardrail } of verified.amendments) {
    host.log.info({ agent: agent.name, taskId: task.id, guardrail }, "guardrail amended the answer");
  }
  yield* verified.trace.slice(results.length);
}

async function hold({ work, host }: Place, events: AsyncIterable<AgentEvent>): Promise<AgentEvent[]> {
  const held: AgentEvent[] = [];
  const bounds = new TaskLog(host.limits);
  for await (const event of events) {
    work.signal.throwIfAborted();
    bounds.append(event);
    held.push(event);
    if (held.length % taskBounds.maxReadAtOnce === 0) await nextTick(); // an agent that never waits lets others have a turn
  }
  return held;
}

import { setImmediate as nextTick } from "node:timers/promises";
import { ConnectError } from "@connectrpc/connect";
import type { Conversation, Task, Yield } from "../agent/index.ts";
import { Status } from "../contract/index.ts";
import { type AgentEvent, internal } from "../core/index.ts";
import type { KeptEvent } from "./log.ts";
import { toEvent } from "./merged-events.ts";
import { Paused } from "./paused.ts";
import type { Host } from "./place.ts";
import type { TaskRecord } from "./record.ts";
import { type RunInit, TaskRun } from "./run.ts";
import { statusOfEnd } from "./status.ts";
import type { TaskWriter } from "./task-writer.ts";
import { valid } from "./valid.ts";

/** Events after which an agent that never waits lets the process do something else. */
const eventsPerBreath = 256;

/** What is before a run, and after it. */
export interface ExecutorEnds {
  /** The conversation that a task goes on with. @throws ConnectError when it cannot be had. */
  conversationOf(record: TaskRecord): Conversation | Promise<Conversation>;
  /** The agent is done, and the record has not settled yet. @throws ConnectError what the task fails with. */
  completing?(record: TaskRecord, run: TaskRun): Promise<void> | undefined;
}

/** Runs agents, and puts what they yield into the records of their tasks. */
export class Executor {
  readonly #host: Host;
  readonly #ends: ExecutorEnds;

  constructor(host: Host, ends: ExecutorEnds) {
    this.#host = host;
    this.#ends = ends;
  }

  /** Runs a record's agent until the record has settled. @param writer who keeps it, if anybody does. */
  run(record: TaskRecord, init: RunInit, writer?: TaskWriter): void {
    const run = new TaskRun(record, init);
    record.run = run;
    void this.#fill(run, writer);
  }

  /**
   * Fills the record's log until it settles. Never throws. An agent that ignores its signal is left behind when the task is stopped:
   * what it still yields is dropped.
   */
  async #fill(run: TaskRun, writer: TaskWriter | undefined): Promise<void> {
    const { record } = run;
    let count = 0;
    try {
      const { conversationId } = record;
      const conversation = conversationId === "" ? undefined : await this.#ends.conversationOf(record);
      for await (const item of run.start(taskOf(record, conversation), this.#host)) {
        if (run.over) return;
        record.append(typeof item === "string" ? item : counted(run, item));
        if (++count % eventsPerBreath === 0) await nextTick();
        if (writer?.isFull === true) await writer.kept();
      }
      if (run.over) return;
      const status = statusOfEnd(record.openRequests());
      const completing = status === Status.COMPLETED ? this.#ends.completing?.(record, run) : undefined;
      if (completing !== undefined) await completing;
      if (!run.over) record.settle(status);
    } catch (thrown) {
      if (run.over) return;
      const isPaused = thrown instanceof Paused && record.openRequests().inputs.length > 0;
      if (isPaused) record.settle(Status.REQUIRES_INPUT);
      else this.#fail(record, thrown);
    }
  }

  #fail(record: TaskRecord, thrown: unknown): void {
    const { agent, id: taskId } = record;
    const error =
      thrown instanceof ConnectError ? thrown : internal(`agent "${agent}" failed in an unforeseen way`, { cause: thrown });
    if (error.cause !== undefined) this.#host.log.error({ err: error.cause, agent, taskId }, "agent failed");
    record.fail(error);
  }
}

function taskOf(record: TaskRecord, conversation: Conversation | undefined): Task {
  const { id, content, metadata, tools: availableTools } = record;
  const task = {
    id,
    content,
    metadata,
    availableTools,
    toolResults: record.toolResults(),
    inputs: record.inputs(),
    events: agentEvents(record.log.events),
  };
  return conversation === undefined ? task : { ...task, conversation };
}

/** What the agent, its tools and its caller have said so far. */
function agentEvents(events: readonly KeptEvent[]): AgentEvent[] {
  if (events.length === 0) return []; // as nearly every task begins
  return valid(events).flatMap((event): AgentEvent[] => {
    if (typeof event === "string") return [{ case: "text", value: event }];
    return event.case === "restart" || event.case === "finish" ? [] : [event];
  });
}

function counted(run: TaskRun, item: Exclude<Yield, string>): AgentEvent {
  const event = toEvent(run.agent, item);
  if (event.case === "usage") run.meter.count(event);
  return event;
}

import { setImmediate as nextTick } from "node:timers/promises";
import { ConnectError } from "@connectrpc/connect";
import type { Task, Yield } from "../agent/index.ts";
import { Status } from "../contract/index.ts";
import { type AgentEvent, internal } from "../core/index.ts";
import { foldEvents } from "./answer.ts";
import { toEvent } from "./context.ts";
import type { Conversations } from "./conversations.ts";
import type { Host } from "./place.ts";
import type { TaskRecord } from "./record.ts";
import { type RunInit, TaskRun } from "./run.ts";
import type { TaskWriter } from "./task-writer.ts";

/** Events after which an agent that never waits lets the process do something else. */
const eventsPerBreath = 256;

/** Runs agents, and puts what they yield into the records of their tasks. */
export class Executor {
  readonly #host: Host;
  readonly #conversations: Conversations;

  constructor(host: Host, conversations: Conversations) {
    this.#host = host;
    this.#conversations = conversations;
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
      for await (const item of run.start(this.#taskOf(record), this.#host)) {
        if (run.over) return;
        record.append(typeof item === "string" ? item : counted(run, item));
        if (++count % eventsPerBreath === 0) await nextTick();
        if (writer?.isFull === true) await writer.kept();
      }
      if (!run.over) this.#finish(record);
    } catch (thrown) {
      if (!run.over) this.#fail(record, thrown);
    }
  }

  #finish(record: TaskRecord): void {
    const { id: taskId, agent, caller, content, conversationId } = record; // the record may forget the question when it settles
    const waits = record.openToolCalls().length > 0;
    record.settle(waits ? Status.REQUIRES_TOOL_CALL : Status.COMPLETED);
    if (waits || conversationId === "") return;
    this.#conversations.append(caller, conversationId, {
      taskId,
      agent,
      content,
      answer: foldEvents(record.log.events, { taskId, status: record.status }).content,
    });
  }

  #fail(record: TaskRecord, thrown: unknown): void {
    const { agent, id: taskId } = record;
    const error =
      thrown instanceof ConnectError ? thrown : internal(`agent "${agent}" failed in an unforeseen way`, { cause: thrown });
    if (error.cause !== undefined) this.#host.log.error({ err: error.cause, agent, taskId }, "agent failed");
    record.fail(error);
  }

  #taskOf(record: TaskRecord): Task {
    const { id, content, metadata, tools: availableTools, conversationId } = record;
    const task = { id, content, metadata, availableTools, toolResults: record.toolResults() };
    if (conversationId === "") return task;
    return { ...task, conversation: this.#conversations.read(record.caller, conversationId) };
  }
}

function counted(run: TaskRun, item: Exclude<Yield, string>): AgentEvent {
  const event = toEvent(run.agent, item);
  if (event.case === "usage") run.meter.count(event);
  return event;
}

import { pino } from "pino";
import { type Agent, type AgentContext, type AgentHandle, cardOf, cite, type Task, ToolRunner } from "../../src/agent/index.ts";
import { Status } from "../../src/contract/index.ts";
import type { AgentEvent } from "../../src/core/index.ts";
import { anonymous } from "../../src/identity/index.ts";
import { foldEvents } from "../../src/task/answer.ts";

/** Runs an agent by itself, without a server, and collects its events. */
export function ask(agent: Agent, content: string, metadata: Record<string, string> = {}): Promise<AgentEvent[]> {
  return askAmong([], agent, { content, metadata });
}

/** Runs an agent that can call others, without a server, and collects its events. */
export async function askAmong(others: readonly Agent[], agent: Agent, task: Partial<Task>): Promise<AgentEvent[]> {
  const events: AgentEvent[] = [];
  for await (const event of run(agent, task, contextWith(others))) events.push(event);
  return events;
}

/** A task of which a test says what it is about. */
export function taskOf(init: Partial<Task>): Task {
  return { id: "task", content: "", metadata: {}, availableTools: [], toolResults: [], inputs: [], events: [], ...init };
}

async function* run(agent: Agent, task: Partial<Task>, ctx: AgentContext): AsyncGenerator<AgentEvent> {
  for await (const event of agent.run(taskOf(task), ctx)) {
    yield typeof event === "string" ? { case: "text", value: event } : event;
  }
}

function contextWith(others: readonly Agent[]): AgentContext {
  const ctx: AgentContext = {
    tool: async (tool, input) => (await new ToolRunner(ctx).run(tool, { callId: "call", input })).output,
    caller: { ...anonymous, chain: [] },
    cite: (quote) => cite(quote, () => []),
    budget: {},
    trace: undefined,
    signal: new AbortController().signal,
    timeoutMs: () => 60_000,
    log: pino({ level: "silent" }),
    get memory(): never {
      throw new Error("there is no memory without a server");
    },
    agents: {
      cards: others.map(cardOf),
      capability(name): AgentHandle {
        const other = others.find(({ capabilities }) => capabilities.includes(name));
        if (!other) throw new Error(`no agent here can ${name}`);
        return {
          name: other.name,
          capability: name,
          stream: (content, options) => run(other, { content, ...options }, contextWith([])),
          process: async (content, options) =>
            foldEvents(await askAmong([], other, { content, ...options }), { taskId: "", status: Status.COMPLETED }),
        };
      },
    },
  };
  return ctx;
}

/** The whole text of an answer. */
export function textOf(events: readonly AgentEvent[]): string {
  return events.map((event) => (event.case === "text" ? event.value : "")).join("");
}

/** The citations of an answer, in order. */
export function citationsOf(events: readonly AgentEvent[]) {
  return events.flatMap((event) => (event.case === "citation" ? [event.value] : []));
}

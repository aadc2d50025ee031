import { pino } from "pino";
import type { Agent, AgentCard } from "../../src/agent/index.ts";
import type { AgentEvent } from "../../src/core/index.ts";

/** Runs an agent by itself, without a server, and collects its events. */
export async function ask(agent: Agent, content: string, metadata: Record<string, string> = {}): Promise<AgentEvent[]> {
  const events: AgentEvent[] = [];
  const task = { id: "task", content, metadata, availableTools: [], toolResults: [] };
  const cards: AgentCard[] = [];
  const ctx = {
    signal: new AbortController().signal,
    timeoutMs: () => 60_000,
    log: pino({ level: "silent" }),
    agents: {
      cards,
      capability: (): never => {
        throw new Error("this agent runs alone");
      },
    },
  };
  for await (const event of agent.run(task, ctx)) {
    events.push(typeof event === "string" ? { case: "text", value: event } : event);
  }
  return events;
}

/** The whole text of an answer. */
export function textOf(events: readonly AgentEvent[]): string {
  return events.map((event) => (event.case === "text" ? event.value : "")).join("");
}

/** The citations of an answer, in order. */
export function citationsOf(events: readonly AgentEvent[]) {
  return events.flatMap((event) => (event.case === "citation" ? [event.value] : []));
}

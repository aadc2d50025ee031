import type { AgentMemory, AgentThread, MemorySearch } from "../agent/index.ts";
import { failedPrecondition } from "../core/index.ts";
import type { Place } from "./place.ts";

/** The shared memory that an agent in this place works with. @throws ConnectError FAILED_PRECONDITION when there is none. */
export function agentMemory({ host, work, agent }: Place, taskId: string): AgentMemory {
  const { threads } = host;
  if (threads === undefined) {
    const description = "the server has no shared memory; serve({ memory: true }) gives it one";
    throw failedPrecondition({ type: "MEMORY", subject: agent.name, description });
  }
  const search = (query: string, thread: string, { kind = "", limit = 0 }: MemorySearch) =>
    threads.search({ query, thread, kind, limit });
  const threadOf = (name: string): AgentThread => ({
    name,
    read: (options = {}) => threads.read(name, { signal: work.signal, ...options }),
    search: (query, options = {}) => search(query, name, options),
    add(entry) {
      const init = typeof entry === "string" ? { content: entry } : entry;
      work.additions.add(name, { ...init, origin: { taskId, agent: agent.name } });
    },
  });
  return { thread: threadOf, search: (query, options = {}) => search(query, "", options) };
}

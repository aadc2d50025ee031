/** Convoke: agents that call each other. */
export {
  type Agent,
  type AgentCard,
  type AgentContext,
  type AgentDefinition,
  citation,
  defineAgent,
  type Task,
  toolCall,
  usage,
} from "./agent/index.ts";
export type { AgentEvent } from "./core/index.ts";

export {
  type Agent,
  type AgentCard,
  type AgentContext,
  type AgentDefinition,
  type AgentDirectory,
  type AgentHandle,
  type AskOptions,
  type Conversation,
  cardOf,
  defineAgent,
  isAgent,
  type Task,
  type TaskCaller,
  type Turn,
  type Yield,
} from "./define.ts";
export { type CitationInit, citation, toolCall, usage } from "./events.ts";

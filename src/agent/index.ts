export { type AgentToolInput, type AgentToolOptions, type AgentToolOutput, agentTool } from "./agent-tool.ts";
export { boundedFetch } from "./bounded-fetch.ts";
export { cite, type QuoteInit, type Source, toolSources } from "./cite.ts";
export {
  type Agent,
  type AgentCard,
  type AgentContext,
  type AgentDefinition,
  type AgentDirectory,
  type AgentHandle,
  type AgentMemory,
  type AgentThread,
  type AskOptions,
  type Conversation,
  cardOf,
  defineAgent,
  isAgent,
  type MemorySearch,
  type Task,
  type TaskCaller,
  type Tool,
  type ToolContext,
  type Turn,
  type Yield,
} from "./define.ts";
export { type CitationInit, citation, inputRequest, toolCall, toolResult, usage } from "./events.ts";
export { type FanOutAsk, type FanOutOptions, type FanOutOutcome, fanOut } from "./fan-out.ts";
export { handOff } from "./hand-off.ts";
export { type ModelAgentDefinition, modelAgent } from "./model-agent.ts";
export { modelFromEnvironment } from "./model-from-environment.ts";
export type { ModelLimits, ModelPrice } from "./model-limits.ts";
export { type Route, type RouteOptions, route } from "./route.ts";
export { defineTool, type ToolInit, toolDefinitionOf } from "./tool.ts";
export { type ToolCallInit, type ToolOutcome, ToolRunner } from "./tool-runner.ts";

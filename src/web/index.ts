/** The client for browsers: gRPC-Web and Connect over `fetch`, without any Node built-in. */
export { Code, ConnectError } from "@connectrpc/connect";
export type {
  Citation,
  SourceRange,
  Task,
  TaskRequest,
  TaskResponse,
  TokenChunk,
  TokenUsage,
  ToolCall,
  ToolDefinition,
  ToolResult,
} from "../contract/index.ts";
export { SourceRange_Unit, Status } from "../contract/index.ts";
export {
  type AgentCalls,
  type CallBudget,
  type CallDefaults,
  type CallOptions,
  callOptionsOf,
  createAgentCalls,
  type TaskInput,
} from "./calls.ts";
export { type ConnectOptions, connect } from "./connect.ts";

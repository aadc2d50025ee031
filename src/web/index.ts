/** The client for browsers: gRPC-Web and Connect over `fetch`, without any Node built-in. */
export { Code, ConnectError } from "@connectrpc/connect";
export type {
  Author,
  Citation,
  Input,
  InputRequest,
  SearchResponse,
  SearchResult,
  SourceRange,
  Task,
  TaskRequest,
  TaskResponse,
  ThreadEntry,
  TokenChunk,
  TokenUsage,
  ToolCall,
  ToolDefinition,
  ToolResult,
} from "../contract/index.ts";
export { Proof, SourceRange_Unit, Status } from "../contract/index.ts";
export { type CallBudget, type CallDefaults, type CallOptions, callOptionsOf } from "./call-options.ts";
export { type AgentCalls, createAgentCalls, type TaskInput } from "./calls.ts";
export { type ConnectOptions, connect } from "./connect.ts";
export type {
  EntryInput,
  MemoryCallOptions,
  MemorySearchOptions,
  MemoryThread,
  ThreadState,
} from "./memory.ts";
export type { Resumption } from "./resume.ts";
export type { TransportTraits } from "./task-call.ts";

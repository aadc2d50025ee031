/** The generated messages and services of the contract (`proto/agent/v1`), and the google.rpc details that its errors carry. */
export type {
  CancelTaskRequest,
  CancelTaskResponse,
  CancelTurn,
  ConverseRequest,
  ConverseResponse,
  GetTaskRequest,
  GetTaskResponse,
  StartTurn,
  TurnFinished,
} from "../../gen/agent/v1/agent_pb.js";
export {
  AgentService,
  CancelTaskRequestSchema,
  CancelTaskResponseSchema,
  ConverseRequestSchema,
  ConverseResponseSchema,
  GetTaskRequestSchema,
  GetTaskResponseSchema,
} from "../../gen/agent/v1/agent_pb.js";
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
} from "../../gen/agent/v1/task_pb.js";
export {
  CitationSchema,
  SourceRange_Unit,
  Status,
  TaskRequestSchema,
  TaskResponseSchema,
  TaskSchema,
  TokenChunkSchema,
  TokenUsageSchema,
  ToolCallSchema,
  ToolResultSchema,
} from "../../gen/agent/v1/task_pb.js";
export {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  QuotaFailureSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.js";

import type { ConnectError } from "@connectrpc/connect";
import type {
  Citation,
  GuardrailBlock,
  Handoff,
  Input,
  InputRequest,
  Status,
  TokenUsage,
  ToolCall,
  ToolResult,
} from "../contract/index.ts";

/** One step of an agent's work, in the shape of the contract's oneofs: a `case` and its `value`. */
export type AgentEvent =
  | { readonly case: "text"; readonly value: string }
  /** What a model thinks before it answers: no part of the answer. */
  | { readonly case: "reasoning"; readonly value: string }
  | { readonly case: "toolCall"; readonly value: ToolCall }
  | { readonly case: "toolResult"; readonly value: ToolResult }
  | { readonly case: "inputRequest"; readonly value: InputRequest }
  | { readonly case: "input"; readonly value: Input }
  /** What was blocked: for the task's log alone. */
  | { readonly case: "guardrailBlock"; readonly value: GuardrailBlock }
  /** Another agent goes on with the conversation. */
  | { readonly case: "handoff"; readonly value: Handoff }
  | { readonly case: "citation"; readonly value: Citation }
  | { readonly case: "usage"; readonly value: TokenUsage };

/** The end of a task, or of its part before its caller is needed. */
export interface Finish {
  readonly status: Status.COMPLETED | Status.REQUIRES_TOOL_CALL | Status.REQUIRES_INPUT | Status.ERROR | Status.CANCELLED;
  /** Why, with ERROR and CANCELLED. */
  readonly error?: ConnectError;
}

/** The agent begins anew: the server that ran it died. */
export interface Restart {
  /** The events from this number on are void. */
  readonly from: number;
}

/** One entry of a task log. */
export type TaskEvent =
  | AgentEvent
  | { readonly case: "restart"; readonly value: Restart }
  | { readonly case: "finish"; readonly value: Finish };

import type { ConnectError } from "@connectrpc/connect";
import type { Tool } from "../agent/index.ts";
import type { ToolCall } from "../contract/index.ts";
import type { CallOptions } from "../web/index.ts";

/** What can be said of one call for a task: also which tools its caller runs for the agent. */
export interface TaskCallOptions extends CallOptions {
  /**
   * Tools that the agent may use and that run here, in the caller's process. They are offered in `available_tools`, after those of the request.
   *
   * When the agent waits for results, all open calls run, 16 at once, and the same task goes on with what they gave. A tool that fails answers with a
   * sentence, for anything but a ConnectError with nothing but that it failed. `signal`, `timeoutMs` and `budget` bound all rounds together;
   * while tools run, a call that ends cancels the task unless it is `detached`. A round that asks for any tool that is not among these is the
   * caller's to answer, and ends the call with REQUIRES_TOOL_CALL.
   *
   * Of its context a tool has `callId`, `signal` and `timeoutMs()`, which is Infinity for a call without `timeoutMs`. `caller`, `budget`,
   * `trace`, `log`, `agents` and `memory` belong to an agent: at a caller they are not there, and reading them throws FAILED_PRECONDITION.
   *
   * Default: none, and the caller answers what the agent asks for.
   */
  readonly tools?: readonly Tool[];
  /** Rounds of tools, after which the call fails with RESOURCE_EXHAUSTED and the task is cancelled: a whole number of 1 or more. Default 32. */
  readonly maxToolRounds?: number;
  /** Told what a tool failed with; `error.cause` is what it threw. What this throws ends the call. Default: only the agent is told. */
  readonly onToolError?: (error: ConnectError, call: ToolCall) => void;
}

import type { ToolCall } from "../contract/index.ts";

/** A call as callers see it: without what its model's provider is told again. */
export function publicCall(call: ToolCall): ToolCall {
  if (call.providerState === undefined) return call;
  const { providerState: _, ...rest } = call;
  return rest;
}

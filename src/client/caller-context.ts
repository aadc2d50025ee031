import type { ToolContext } from "../agent/index.ts";
import { failedPrecondition } from "../core/index.ts";

/** What a tool finds that its caller runs. */
export function callerContext(signal: AbortSignal, timeoutMs: () => number): Omit<ToolContext, "callId"> {
  return {
    signal,
    timeoutMs,
    get caller(): never {
      throw absent("caller");
    },
    get budget(): never {
      throw absent("budget");
    },
    get trace(): never {
      throw absent("trace");
    },
    get log(): never {
      throw absent("log");
    },
    get agents(): never {
      throw absent("agents");
    },
    get memory(): never {
      throw absent("memory");
    },
  };
}

function absent(name: string) {
  const description = `ctx.${name} belongs to an agent; a tool that runs at a caller has callId, signal and timeoutMs`;
  return failedPrecondition({ type: "TOOL_PLACE", subject: name, description });
}

import type { ToolSet } from "ai";
import type { ToolDefinition } from "../contract/index.ts";
import type { AgentContext, Tool } from "./define.ts";
import { toolDefinitionOf } from "./tool.ts";
import { ToolRunner } from "./tool-runner.ts";

type Sdk = typeof import("ai");

/** The tools of a model agent, as the AI SDK takes them: its own, which run here, and those that its caller offers, which do not. */
export function toolSetOf(
  sdk: Sdk,
  { own, offered, ctx }: { own: readonly Tool[]; offered: readonly ToolDefinition[]; ctx: AgentContext },
) {
  const runner = new ToolRunner(ctx);
  const tools: ToolSet = {};
  for (const { name, description, parametersJsonSchema } of offered) {
    tools[name] = sdk.tool({ description, inputSchema: sdk.jsonSchema(JSON.parse(parametersJsonSchema || anyObject)) });
  }
  for (const tool of own) {
    const { description, parametersJsonSchema } = toolDefinitionOf(tool);
    tools[tool.name] = sdk.tool({
      description,
      needsApproval: tool.approve,
      inputSchema: sdk.jsonSchema(JSON.parse(parametersJsonSchema)), // without a check: the runner makes it
      execute: async (input, { toolCallId: callId }) => JSON.parse((await runner.run(tool, { callId, input })).resultJson),
    });
  }
  return tools;
}

const anyObject = '{"type":"object"}';

import type { SchemaResult, StandardSchema } from "../core/index.ts";
import type { Tool } from "./define.ts";
import { defineTool, type ToolInit } from "./tool.ts";

/** What {@link agentTool} takes beside the capability; the bounds are those of any tool. */
export interface AgentToolOptions extends Pick<ToolInit<AgentToolInput, AgentToolOutput>, "timeoutMs" | "maxResultBytes"> {
  /** Default: the capability, with `_` for each of its dots. */
  readonly name?: string;
  /** For the model. Default: that it asks an agent with this capability. */
  readonly description?: string;
}

/** The arguments: what the agent is asked. */
export interface AgentToolInput {
  readonly content: string;
}

/** The agent's answer, as far as a model reads it. */
export interface AgentToolOutput {
  readonly content: string;
  /** Left out when there are none. */
  readonly citations?: readonly { readonly uri: string; readonly title: string; readonly quote: string }[];
}

/**
 * A tool that asks an agent with this capability, as `ctx.agents` finds it, and gives its answer and what that rests on. The task's deadline and
 * cancellation, the chain of callers, budget, conversation and trace go along; the tool's own time ends the agent's work, too.
 *
 * Run, it throws what `ctx.agents` does: NOT_FOUND for a capability that nobody has, what the agent failed with, RESOURCE_EXHAUSTED for a budget
 * that is used up.
 *
 * @throws TypeError and RangeError as {@link defineTool}.
 */
export function agentTool(capability: string, options: AgentToolOptions = {}): Tool<AgentToolInput, AgentToolOutput> {
  const {
    name = capability.replaceAll(".", "_"),
    description = `Asks an agent that can do this: ${capability}.`,
    ...bounds
  } = options;
  return defineTool({
    name,
    description,
    input: question,
    async run({ content }, { agents, signal }) {
      const answer = await agents.capability(capability).process(content, { signal });
      const citations = answer.citations.map(({ uri, title, quote }) => ({ uri, title, quote }));
      return { content: answer.content, ...(citations.length > 0 && { citations }) };
    },
    ...bounds,
  });
}

const question: StandardSchema<unknown, AgentToolInput> = {
  "~standard": {
    version: 1,
    vendor: "convoke",
    validate: checkQuestion,
    jsonSchema: {
      input: () => ({
        type: "object",
        properties: { content: { type: "string", description: "What the agent is asked, with all that it needs to know." } },
        required: ["content"],
        additionalProperties: false,
      }),
    },
  },
};

function checkQuestion(value: unknown): SchemaResult<AgentToolInput> {
  if (typeof value !== "object" || value === null) return { issues: [{ message: "expected an object with content" }] };
  if (!("content" in value) || typeof value.content !== "string" || value.content.trim() === "")
    return { issues: [{ message: "expected a string that says what is asked", path: ["content"] }] };
  return { value: { content: value.content } };
}

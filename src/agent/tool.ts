import { create } from "@bufbuild/protobuf";
import { type ToolDefinition, ToolDefinitionSchema } from "../contract/index.ts";
import { toolBounds } from "../core/index.ts";
import type { Tool } from "./define.ts";

/** What {@link defineTool} takes. */
export interface ToolInit<Input, Output>
  extends Pick<Tool<Input, Output>, "name" | "input" | "run">,
    Partial<Pick<Tool<Input, Output>, "description">> {
  /** How long one call may take. Default 60,000; at most an hour. */
  readonly timeoutMs?: number;
  /** Bytes of its result in JSON. Default 256 KiB; at most 4 MiB. */
  readonly maxResultBytes?: number;
  /**
   * Somebody has to allow each call: the task waits (REQUIRES_INPUT) until an answer comes, and its agent runs again then. Default false.
   */
  readonly approve?: boolean;
}

const namePattern = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * Defines a tool.
 *
 * Its arguments are checked before `run`. What it throws as a ConnectError is told to whoever called it, a model too, so that it can do better; of
 * anything else nothing but that it failed.
 *
 * @throws TypeError when the name has other characters, `input` is no Standard Schema (https://standardschema.dev), or `run` no function.
 * @throws RangeError when a bound is none.
 */
export function defineTool<Input, Output>(init: ToolInit<Input, Output>): Tool<Input, Output> {
  const { name, description = "", input, run, approve = false } = init;
  const { timeoutMs = toolBounds.timeoutMs, maxResultBytes = toolBounds.maxResultBytes } = init;
  if (typeof name !== "string" || !namePattern.test(name))
    throw new TypeError(`the tool's name ${JSON.stringify(name)} must be 1 to 64 of A-Z a-z 0-9 _ -`);
  if (typeof input?.["~standard"]?.validate !== "function")
    throw new TypeError(`tool "${name}" needs input: a Standard Schema, such as z.object({ … })`);
  if (typeof run !== "function") throw new TypeError(`tool "${name}" needs run: async (input, ctx) => …`);
  checkBound(name, { name: "timeoutMs", value: timeoutMs, most: toolBounds.maxTimeoutMs });
  checkBound(name, { name: "maxResultBytes", value: maxResultBytes, most: toolBounds.maxMaxResultBytes });
  return Object.freeze({ name, description, input, timeoutMs, maxResultBytes, approve, run });
}

function checkBound(tool: string, { name, value, most }: { name: string; value: number; most: number }): void {
  if (!(value >= 1 && value <= most)) throw new RangeError(`tool "${tool}": ${name} is ${value}, and must be 1 to ${most}`);
}

/**
 * What a tool says of itself to a model, or to an agent that it is offered to.
 *
 * @throws TypeError when its `input` cannot say its JSON Schema (https://standardschema.dev/json-schema), which zod's, ArkType's and others' can.
 */
export function toolDefinitionOf({ name, description, input }: Tool): ToolDefinition {
  const schema = input["~standard"].jsonSchema?.input({ target: "draft-07" });
  if (schema === undefined)
    throw new TypeError(`the input of tool "${name}" says no JSON Schema; a model needs it, and zod's z.object({ … }) does`);
  return create(ToolDefinitionSchema, { name, description, parametersJsonSchema: JSON.stringify(schema) });
}

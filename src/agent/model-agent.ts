import type { LanguageModel } from "ai";
import { failedPrecondition, modelBounds } from "../core/index.ts";
import { citeTool } from "./cite-tool.ts";
import {
  type Agent,
  type AgentContext,
  type AgentDefinition,
  defineAgent,
  type Task,
  type Tool,
  type Yield,
} from "./define.ts";
import { modelFromEnvironment } from "./model-from-environment.ts";
import { checkLimits, type ModelLimits, type ModelPrice } from "./model-limits.ts";
import { type ProviderOptions, runModel } from "./model-loop.ts";
import { toolDefinitionOf } from "./tool.ts";

/** What {@link modelAgent} takes. Everything but `name` may be left out. */
export interface ModelAgentDefinition extends Omit<AgentDefinition, "run"> {
  /** Any language model of the AI SDK (https://ai-sdk.dev), or what makes one for each run. Default: the one that `CONVOKE_MODEL` names. */
  readonly model?: LanguageModel | ((task: Task, ctx: AgentContext) => LanguageModel | Promise<LanguageModel>);
  /** What the model is told before the question. */
  readonly system?: string | ((task: Task, ctx: AgentContext) => string | Promise<string>);
  /** What it may call, beside the tools that the caller offers. */
  readonly tools?: readonly Tool[];
  /**
   * Lets the model cite what its tools have given: it gets a tool `cite`, which refuses a quote that no result contains. Default: true where
   * there are tools.
   */
  readonly cites?: boolean;
  readonly limits?: ModelLimits;
  /** For `limits.maxCost`. */
  readonly price?: ModelPrice;
  readonly temperature?: number;
  /** What only some providers know, by their names: `{ anthropic: { thinking: … } }`, `{ openai: { reasoningEffort: "low" } }`. Default: nothing. */
  readonly providerOptions?: ProviderOptions;
  /** How often a request that the provider refused for now is made again, before anything has come. Default 2. */
  readonly maxRetries?: number;
}

/**
 * Defines an agent whose answer a model writes, with tools, until it has called the last one: the loop is the AI SDK's.
 *
 * Text, reasoning, tool calls, their results, sources and usage are events of the task as they stream. A conversation's turns are told to the model,
 * and a task that waited for its caller's tools goes on where it was. What a tool's call was refused for goes back to the model.
 *
 * A run fails with RESOURCE_EXHAUSTED over its limits or the task's budget, and with 429 of the provider, then with a RetryInfo; with
 * UNAVAILABLE when the provider fails, is silent, or breaks off; with FAILED_PRECONDITION when it withholds the answer, or there is no model; with INTERNAL when it refuses
 * the request or the key.
 *
 * @throws TypeError as {@link defineAgent}, for tools of the same name, and for one whose `input` says no JSON Schema.
 * @throws RangeError for a limit that is none.
 */
export function modelAgent(definition: ModelAgentDefinition): Agent {
  const {
    model = createNamedModel(definition.name),
    system,
    tools = [],
    limits = {},
    price,
    temperature,
    providerOptions,
    cites = tools.length > 0,
    maxRetries = modelBounds.maxRetries,
    ...card
  } = definition;
  checkLimits(card.name, limits, price);
  checkTools(card.name, cites ? [...tools, citeTool] : tools);
  return defineAgent({
    ...card,
    async *run(task, ctx): AsyncGenerator<Yield, void, undefined> {
      yield* runModel(task, ctx, {
        model: typeof model === "function" ? await model(task, ctx) : model,
        system: typeof system === "function" ? await system(task, ctx) : system,
        tools,
        cites,
        limits,
        price,
        temperature,
        providerOptions,
        maxRetries,
      });
    },
  });
}

/** The model that the environment names, made when it is first asked. */
function createNamedModel(agent: string): () => Promise<LanguageModel> {
  let named: Promise<LanguageModel | undefined> | undefined;
  return async () => {
    named ??= modelFromEnvironment();
    const model = await named;
    if (model !== undefined) return model;
    const description = `agent "${agent}" has no model; CONVOKE_MODEL=PROVIDER/NAME names one`;
    throw failedPrecondition({ type: "MODEL", subject: agent, description });
  };
}

function checkTools(agent: string, tools: readonly Tool[]): void {
  const names = new Set<string>();
  for (const tool of tools) {
    if (names.has(tool.name)) throw new TypeError(`agent "${agent}" has two tools "${tool.name}"; names must be distinct`);
    names.add(tool.name);
    toolDefinitionOf(tool);
  }
}

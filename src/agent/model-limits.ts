import type { ConnectError } from "@connectrpc/connect";
import type { LanguageModelUsage } from "ai";
import { modelBounds, resourceExhausted } from "../core/index.ts";
import type { AgentContext } from "./define.ts";

/** What one run of a model agent may use. The task's deadline and budget count beside it. */
export interface ModelLimits {
  /** Answers of the model, all but the last of which call tools. Default 20. */
  readonly maxSteps?: number;
  /** Tokens, read and written. Default 1,000,000. */
  readonly maxTokens?: number;
  /** Tokens that one answer of the model may have. Default: the provider's. */
  readonly maxOutputTokens?: number;
  /** In the currency of `price`. Default: no bound. */
  readonly maxCost?: number;
  /** Milliseconds. Default: the task's deadline alone. */
  readonly maxTimeMs?: number;
  /** How long the model may be silent before the first piece of an answer, and after it. Defaults 120,000 and 60,000. */
  readonly firstChunkMs?: number;
  readonly chunkMs?: number;
}

/** What a model costs, for a million tokens each, in any currency. */
export interface ModelPrice {
  readonly prompt: number;
  readonly completion: number;
}

/** @throws RangeError when a limit is no number above 0, or there is a cost without a price. */
export function checkLimits(agent: string, limits: ModelLimits, price: ModelPrice | undefined): void {
  for (const [name, value] of Object.entries(limits)) {
    if (value !== undefined && !(value > 0)) throw new RangeError(`agent "${agent}": ${name} is ${value}, and must be above 0`);
  }
  if (limits.maxCost !== undefined && price === undefined)
    throw new RangeError(`agent "${agent}" has a maxCost, and needs a price: { prompt, completion } for a million tokens each`);
}

/** What one run has used of what it may. */
export class ModelSpending {
  readonly #ctx: AgentContext;
  readonly #limits: ModelLimits;
  readonly #price: ModelPrice;
  /** What was left of the task's tokens when the run began. */
  readonly #budget: number | undefined;
  #steps = 0;
  #tokens = 0;
  #cost = 0;

  constructor(ctx: AgentContext, limits: ModelLimits, price: ModelPrice = { prompt: 0, completion: 0 }) {
    this.#ctx = ctx;
    this.#limits = limits;
    this.#price = price;
    this.#budget = ctx.budget.tokens;
  }

  /** Counts an answer of the model. */
  count({ inputTokens = 0, outputTokens = 0 }: LanguageModelUsage): void {
    this.#steps++;
    this.#tokens += inputTokens + outputTokens;
    this.#cost += (inputTokens * this.#price.prompt + outputTokens * this.#price.completion) / 1_000_000;
  }

  /** Why the model is asked no more; undefined while it may be. */
  get exhausted(): ConnectError | undefined {
    const { maxSteps = modelBounds.maxSteps, maxTokens = modelBounds.maxTokens, maxCost } = this.#limits;
    if (this.#ctx.budget.tokens === 0 || (this.#budget !== undefined && this.#tokens >= this.#budget))
      return usedUp("tokens", "the task's budget of tokens is used up");
    if (this.#tokens >= maxTokens)
      return usedUp("model tokens", `the model has used its ${maxTokens} tokens, the most allowed`);
    if (maxCost !== undefined && this.#cost >= maxCost)
      return usedUp("model cost", `the model has cost ${this.#cost.toFixed(6)}, and ${maxCost} is the most allowed`);
    if (this.#steps >= maxSteps)
      return usedUp("model steps", `the model still calls tools in its answer ${maxSteps}, the last one allowed`);
    return undefined;
  }
}

function usedUp(subject: string, description: string): ConnectError {
  return resourceExhausted({ subject, description });
}

import type { ModelMessage, TextStreamPart, ToolSet } from "ai";

type Part = TextStreamPart<ToolSet>;
type AssistantParts = Exclude<Extract<ModelMessage, { role: "assistant" }>["content"], string>;
type ReasoningPart = Extract<AssistantParts[number], { type: "reasoning" }>;
type ProviderOptions = NonNullable<ReasoningPart["providerOptions"]>;

/** What a call's state is made of. */
interface CallState {
  readonly call?: ProviderOptions | undefined;
  /** What the model thought before it. */
  readonly reasoning: readonly ReasoningPart[];
}

/**
 * What a model's provider wants to be told again, with a call, when a task goes on after it: signatures of what the model thought (Anthropic), of the call
 * (Google), names of items (OpenAI). Thoughts that nothing came with are not told again.
 */
export class ModelState {
  #reasoning: { text: string; providerOptions: ProviderOptions }[] = [];

  /** Is told every part that comes out of the AI SDK, in order. */
  note(part: Part): void {
    if (part.type === "start-step") this.#reasoning = [];
    if (part.type === "reasoning-start") this.#reasoning.push({ text: "", providerOptions: {} });
    if (part.type !== "reasoning-start" && part.type !== "reasoning-delta" && part.type !== "reasoning-end") return;
    const block = this.#reasoning.at(-1);
    if (block === undefined) return;
    if (part.type === "reasoning-delta") block.text += part.text;
    block.providerOptions = merged(block.providerOptions, part.providerMetadata);
  }

  /** What goes with a call, as JSON. What was thought goes with the first call after it. */
  of({ providerMetadata: call }: Pick<Extract<Part, { type: "tool-call" }>, "providerMetadata">): string | undefined {
    const reasoning = this.#reasoning
      .filter(({ providerOptions }) => Object.keys(providerOptions).length > 0)
      .map((block) => ({ type: "reasoning" as const, ...block })); // the kind is one of several
    this.#reasoning = [];
    if (call === undefined && reasoning.length === 0) return undefined;
    const state: CallState = { call, reasoning };
    return JSON.stringify(state);
  }
}

/** Puts what was thought before a call where it was, before all that was said since the last call. @returns what goes with the call itself. */
export function addState(parts: AssistantParts, providerState: string | undefined): ProviderOptions | undefined {
  if (providerState === undefined) return undefined;
  const { call, reasoning }: CallState = JSON.parse(providerState);
  const place = parts.findLastIndex(({ type }) => type === "tool-call") + 1;
  parts.splice(place, 0, ...reasoning);
  return call;
}

function merged(options: ProviderOptions, more: ProviderOptions | undefined): ProviderOptions {
  const all = { ...options };
  for (const [provider, values] of Object.entries(more ?? {})) all[provider] = { ...all[provider], ...values };
  return all;
}

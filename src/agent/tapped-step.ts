import type { LanguageModelMiddleware } from "ai";

export type ModelStream = Awaited<ReturnType<NonNullable<LanguageModelMiddleware["wrapStream"]>>>["stream"];
export type ModelPart = ModelStream extends ReadableStream<infer Each> ? Each : never;
export type Delta = Extract<ModelPart, { type: "text-delta" | "reasoning-delta" }>;

/** Parts of a model's stream that are no events of a task: text that comes after them may overtake them. */
const eventless: ReadonlySet<ModelPart["type"]> = new Set([
  "stream-start",
  "response-metadata",
  "text-start",
  "text-end",
  "reasoning-start",
  "reasoning-end",
  "raw",
]);

/** One answer of a model: which of its pieces are tapped, and what the AI SDK has to be told of them. */
export class TappedStep {
  /** Which one of the run it is, from 1. */
  readonly number: number;
  /** Blocks that have begun, and what was tapped of them. */
  readonly #blocks = new Map<string, { readonly type: Delta["type"]; texts: string[] }>();
  #isTapping = true;
  /** The AI SDK has cancelled it. */
  isLeft = false;

  /** Lets the SDK make its way for it. */
  readonly begin: () => void;
  /** Resolves with `begin`. */
  readonly begun: Promise<void>;
  #hasBegun = false;

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** False once something else than text has gone the SDK's way. */
  get isTapping(): boolean {
    return this.#isTapping;
  }

  constructor(number: number) {
    this.number = number;
    let resolve = () => {};
    this.begun = new Promise((settle) => {
      resolve = settle;
    });
    this.begin = () => {
      this.#hasBegun = true;
      resolve();
    };
  }

  /** A provider's own data goes with its piece. */
  taps(part: ModelPart): part is Delta {
    if (part.type !== "text-delta" && part.type !== "reasoning-delta") return false;
    return this.#isTapping && part.delta !== "" && part.providerMetadata === undefined && this.#blocks.has(part.id);
  }

  hold(id: string, delta: string): void {
    this.#blocks.get(id)?.texts.push(delta);
  }

  /** Notes a part that goes the SDK's way. @returns what goes before it. */
  pass(part: ModelPart): Delta | undefined {
    switch (part.type) {
      case "text-start":
        this.#blocks.set(part.id, { type: "text-delta", texts: [] });
        return undefined;
      case "reasoning-start":
        this.#blocks.set(part.id, { type: "reasoning-delta", texts: [] });
        return undefined;
      case "text-delta":
      case "reasoning-delta":
        if (part.delta !== "") this.#isTapping = false;
        return this.#joined(part.id);
      case "text-end":
      case "reasoning-end": {
        const joined = this.#joined(part.id);
        this.#blocks.delete(part.id);
        return joined;
      }
      default:
        if (!eventless.has(part.type)) this.#isTapping = false;
        return undefined;
    }
  }

  /** What is left of blocks that have no end. */
  endAll(): Delta[] {
    return [...this.#blocks.keys()].flatMap((id) => this.#joined(id) ?? []);
  }

  #joined(id: string): Delta | undefined {
    const block = this.#blocks.get(id);
    if (block === undefined || block.texts.length === 0) return undefined;
    const delta = block.texts.join("");
    block.texts = [];
    return { type: block.type, id, delta };
  }
}

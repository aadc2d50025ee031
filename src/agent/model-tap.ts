import type { LanguageModel, LanguageModelMiddleware, TextStreamPart, ToolSet } from "ai";
import { modelBounds } from "../core/index.ts";
import { type Delta, type ModelPart, type ModelStream, TappedStep } from "./tapped-step.ts";

/** What comes out of the AI SDK. */
export type Part = TextStreamPart<ToolSet>;

/**
 * Takes text out of a model's stream before it goes the AI SDK's way, which is eight streams long; the SDK gets each block of text whole, at its end.
 *
 * What is taken and what comes out of the SDK are in order, for a reader that first takes the pieces: nothing is tapped before the SDK has begun
 * the step, nor once anything else of the step is on its way.
 */
export class ModelTap {
  #pieces: Part[] = [];
  /** Answers of the model that stream or have streamed, and those that the reader has seen begin. */
  #steps = 0;
  #seenSteps = 0;
  /** Deltas that have gone the SDK's way, those that have come out, and which of them repeat what was tapped. */
  #sent = 0;
  #seen = 0;
  readonly #repeats = new Set<number>();
  #wakeReader: (() => void) | undefined;
  #wakeTap: (() => void) | undefined;
  #isClosed = false;

  /** The model with the tap on it. One that is a name goes the SDK's way alone. */
  on(model: LanguageModel, { wrapLanguageModel }: Pick<typeof import("ai"), "wrapLanguageModel">): LanguageModel {
    if (typeof model === "string") return model;
    const wrapStream: LanguageModelMiddleware["wrapStream"] = async ({ doStream }) => {
      const { stream, ...rest } = await doStream();
      return { stream: this.#tapped(stream), ...rest };
    };
    return wrapLanguageModel({ model, middleware: { wrapStream } });
  }

  /**
   * All that the model says and the SDK adds, in order and some at a time: a step of an async generator for each would be most of what it costs.
   *
   * @param note is told each part as it comes out of the SDK, where blocks of text are whole.
   */
  async *read(stream: AsyncIterable<Part>, note: (part: Part) => void): AsyncGenerator<readonly Part[], void, undefined> {
    const parts = stream[Symbol.asyncIterator]();
    try {
      for (;;) {
        let isThere = false;
        const next = parts.next();
        const arrive = () => {
          isThere = true;
          this.#wakeReader?.();
        };
        next.then(arrive, arrive);
        while (!isThere || this.#pieces.length > 0) {
          if (this.#pieces.length > 0) yield this.#take();
          else await this.#somethingNew();
        }
        const { done, value } = await next;
        if (done === true) return;
        note(value);
        if (!this.#isRepeat(value)) yield [value];
      }
    } finally {
      this.close();
      await parts.return?.();
    }
  }

  /** Taps no more. */
  close(): void {
    this.#isClosed = true;
    this.#wakeTap?.();
  }

  #take(): readonly Part[] {
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#wakeTap?.();
    return pieces;
  }

  #somethingNew(): Promise<void> {
    return new Promise((resolve) => {
      this.#wakeReader = resolve;
    });
  }

  /** True for a part that repeats what was tapped. */
  #isRepeat(part: Part): boolean {
    if (part.type === "start-step") {
      this.#seenSteps++;
      this.#wakeTap?.();
    }
    if ((part.type !== "text-delta" && part.type !== "reasoning-delta") || part.text === "") return false;
    return this.#repeats.delete(++this.#seen);
  }

  #tapped(source: ModelStream): ModelStream {
    const reader = source.getReader();
    const step = new TappedStep(++this.#steps);
    const pull = async (controller: ReadableStreamDefaultController<ModelPart>) => {
      for (;;) {
        const { done, value } = await reader.read();
        if (this.#isClosed || step.isLeft) return await reader.cancel();
        if (done) {
          for (const joined of step.endAll()) this.#send(controller, joined, true);
          controller.close();
          return;
        }
        if (step.taps(value)) {
          await this.#push(step, value);
          continue;
        }
        const joined = step.pass(value);
        if (joined !== undefined) this.#send(controller, joined, true);
        this.#send(controller, value, false);
        return;
      }
    };
    const cancel = (reason: unknown) => {
      step.isLeft = true;
      this.#wakeTap?.();
      return reader.cancel(reason);
    };
    return new ReadableStream({ pull, cancel }, { highWaterMark: 0 });
  }

  #send(controller: ReadableStreamDefaultController<ModelPart>, part: ModelPart, isRepeat: boolean): void {
    if ((part.type === "text-delta" || part.type === "reasoning-delta") && part.delta !== "") {
      this.#sent++;
      if (isRepeat) this.#repeats.add(this.#sent);
    }
    controller.enqueue(part);
  }

  async #push(step: TappedStep, { type, id, delta }: Delta): Promise<void> {
    while (
      !this.#isClosed &&
      !step.isLeft &&
      (this.#seenSteps < step.number || this.#pieces.length >= modelBounds.maxTappedPieces)
    ) {
      await new Promise<void>((resolve) => {
        this.#wakeTap = resolve;
      });
    }
    step.hold(id, delta);
    this.#pieces.push({ type, id, text: delta });
    this.#wakeReader?.();
  }
}

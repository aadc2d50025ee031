import type { LanguageModel, LanguageModelMiddleware, TextStreamPart, ToolSet } from "ai";
import { modelBounds } from "../core/index.ts";
import { type Delta, type ModelPart, type ModelStream, TappedStep } from "./tapped-step.ts";

/** What comes out of the AI SDK. */
export type Part = TextStreamPart<ToolSet>;

/** How the rest of an answer goes to the SDK. */
interface Way {
  readonly step: TappedStep;
  readonly controller: ReadableStreamDefaultController<ModelPart>;
  /** Waits until the SDK has taken what there is. */
  room(): Promise<void>;
}

/**
 * Takes text out of a model's stream before it goes the AI SDK's way, which is eight streams long; the SDK gets each block of text whole, at its end.
 *
 * What is taken and what comes out of the SDK are in order, for a reader that first takes the pieces: nothing is tapped before the reader has
 * seen all of the steps before, nor once anything else of the step is on its way.
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
  readonly #isFresh: boolean;
  readonly #signal: AbortSignal;

  /** @param isFresh true when the SDK has nothing to do before the model: no tools that somebody has allowed meanwhile. @param signal ends the run. */
  constructor({ isFresh, signal }: { readonly isFresh: boolean; readonly signal: AbortSignal }) {
    this.#isFresh = isFresh;
    this.#signal = signal;
  }

  /** The model with the tap on it. One that is a name goes the SDK's way alone. */
  on(model: LanguageModel, { wrapLanguageModel }: Pick<typeof import("ai"), "wrapLanguageModel">): LanguageModel {
    if (typeof model === "string") return model;
    const wrapStream: LanguageModelMiddleware["wrapStream"] = async ({ doStream }) => {
      const { stream, ...rest } = await doStream();
      const step = new TappedStep(++this.#steps);
      const tapped = this.#tapped(stream, step);
      if (this.#isFirst(step)) await this.#begun(step);
      return { stream: tapped, ...rest };
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

  /** Nothing comes before it. */
  #isFirst({ number }: TappedStep): boolean {
    return this.#isFresh && number === 1;
  }

  async #begun(step: TappedStep): Promise<void> {
    const signal = this.#signal;
    signal.addEventListener("abort", step.begin);
    if (!signal.aborted) await step.begun;
    signal.removeEventListener("abort", step.begin);
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

  /** It is read at once, not when the SDK has made its way for it; what goes that way goes at its pace. */
  #tapped(source: ModelStream, step: TappedStep): ModelStream {
    const reader = source.getReader();
    let goOn = () => {};
    const start = (controller: ReadableStreamDefaultController<ModelPart>) => {
      const room = async () => {
        while (!this.#isClosed && !step.isLeft && (controller.desiredSize ?? 0) <= 0) {
          await new Promise<void>((resolve) => {
            goOn = resolve;
          });
        }
      };
      this.#pump(reader, { step, controller, room }).catch((thrown: unknown) => {
        step.begin();
        controller.error(thrown);
      });
    };
    const cancel = (reason: unknown) => {
      step.isLeft = true;
      this.#wakeTap?.();
      goOn();
      return reader.cancel(reason);
    };
    return new ReadableStream({ start, pull: () => goOn(), cancel });
  }

  async #pump(reader: ReadableStreamDefaultReader<ModelPart>, { step, controller, room }: Way): Promise<void> {
    for (;;) {
      const { done, value } = await reader.read();
      if (this.#isClosed || step.isLeft) return await reader.cancel();
      if (done) break;
      if (step.taps(value)) {
        await this.#push(step, value);
        continue;
      }
      const joined = step.pass(value);
      if (joined !== undefined) this.#send(controller, joined, true);
      this.#send(controller, value, false);
      if (!step.isTapping) {
        step.begin();
        await room();
      }
    }
    step.begin();
    for (const joined of step.endAll()) this.#send(controller, joined, true);
    controller.close();
  }

  #send(controller: ReadableStreamDefaultController<ModelPart>, part: ModelPart, isRepeat: boolean): void {
    if ((part.type === "text-delta" || part.type === "reasoning-delta") && part.delta !== "") {
      this.#sent++;
      if (isRepeat) this.#repeats.add(this.#sent);
    }
    controller.enqueue(part);
  }

  async #push(step: TappedStep, { type, id, delta }: Delta): Promise<void> {
    const isFirst = this.#isFirst(step);
    while (
      !this.#isClosed &&
      !step.isLeft &&
      ((!isFirst && this.#seenSteps < step.number) || this.#pieces.length >= modelBounds.maxTappedPieces)
    ) {
      await new Promise<void>((resolve) => {
        this.#wakeTap = resolve;
      });
    }
    step.hold(id, delta);
    this.#pieces.push({ type, id, text: delta });
    this.#wakeReader?.();
    if (step.hasBegun) return;
    setImmediate(step.begin); // the first piece leaves before what comes along with it, and before the SDK makes its way for the rest
    await step.begun;
  }
}

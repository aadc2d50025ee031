import type { ConnectError } from "@connectrpc/connect";
import { type Due, modelBounds, resourceExhausted, timers, unavailable } from "../core/index.ts";
import type { ModelLimits } from "./model-limits.ts";

/** Stops a model that is silent for too long, or takes too long in all. Time in which it waits for a tool is not its own. */
export class ModelWatch {
  readonly #limits: ModelLimits;
  readonly #controller = new AbortController();
  readonly #end: Due | undefined;
  #silence: Due | undefined;
  readonly #task: AbortSignal | undefined;
  readonly #stop = () => this.#controller.abort(this.#task?.reason);

  /** @param task stops it, too. */
  constructor(limits: ModelLimits, task: AbortSignal | undefined) {
    const { maxTimeMs } = limits;
    this.#limits = limits;
    this.#task = task;
    if (task?.aborted) this.#stop();
    else task?.addEventListener("abort", this.#stop);
    if (maxTimeMs !== undefined) this.#end = timers.schedule(maxTimeMs, () => this.#controller.abort(tooLong(maxTimeMs)));
    this.expect("answer");
  }

  /** Aborted with the ConnectError that the run fails with, with the task's reason, and when it is over. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What comes next: an answer's first piece, one more of it, or a tool's result. */
  expect(what: "answer" | "piece" | "tool"): void {
    this.#silence?.cancel();
    this.#silence = undefined;
    if (what === "tool") return;
    const { firstChunkMs = modelBounds.firstChunkMs, chunkMs = modelBounds.chunkMs } = this.#limits;
    const silent = unavailable.bind(undefined, "the model was silent for too long", modelBounds.retryMs);
    this.#silence = timers.schedule(what === "answer" ? firstChunkMs : chunkMs, () => this.#controller.abort(silent()));
  }

  /** Stops what is still at work. */
  close(): void {
    this.#silence?.cancel();
    this.#end?.cancel();
    this.#task?.removeEventListener("abort", this.#stop);
    this.#controller.abort(over);
  }
}

/** Made once: an abort without a reason makes a DOMException, with its stack. */
const over = new Error("the run is over");

function tooLong(maxTimeMs: number): ConnectError {
  const description = `the model has worked for ${maxTimeMs} ms, the longest allowed`;
  return resourceExhausted({ subject: "model time", description });
}

import { Code, ConnectError } from "@connectrpc/connect";
import type { TaskResponse, TokenChunk } from "../contract/index.ts";
import { createBackoff, taskEndedTrailer } from "../core/index.ts";

/** A call that is made again because it was cut off. */
export interface Resumption {
  readonly taskId: string;
  /** The event that is asked for next: those before it have arrived. */
  readonly fromIndex: number;
  /** 1 for the first time since something arrived. */
  readonly attempt: number;
  /** What the call before failed with. */
  readonly error: ConnectError;
}

export interface ResumeOptions {
  readonly taskId: string;
  readonly fromIndex: number;
  /** Milliseconds for all attempts together; undefined or 0 for no deadline. */
  readonly timeoutMs: number | undefined;
  /** Milliseconds that it is tried without anything arriving. */
  readonly patienceMs: number;
  readonly signal: AbortSignal;
  readonly onResume: ((resumption: Resumption) => void) | undefined;
  /** True for an error of a call that had been sent when its connection broke. */
  readonly isCutOff: (error: ConnectError) => boolean;
  /** True for an error of a call whose response was ended without an outcome. */
  readonly isCutShort: (error: ConnectError) => boolean;
}

/** Responses in a row that are ended without an outcome before that is taken for what the way there makes of all of them. */
const maxCutShort = 4;

/** Decides whether to ask again, and waits before it. */
class Attempts {
  next: number;
  readonly #options: ResumeOptions;
  readonly #deadlineMs: number;
  readonly #backoff = createBackoff({ initialMs: 50, maxMs: 500 });
  #attempt = 0;
  #wasCutOff = false;
  #cutShort = 0;
  #giveUpMs = Number.POSITIVE_INFINITY;

  constructor(options: ResumeOptions) {
    this.#options = options;
    this.next = options.fromIndex;
    this.#deadlineMs = performance.now() + (options.timeoutMs || Number.POSITIVE_INFINITY);
  }

  /** True from the first event on: the task is there, and is asked for by its id. */
  get hasBegun(): boolean {
    return this.next > this.#options.fromIndex;
  }

  get timeoutMs(): number | undefined {
    const leftMs = this.#deadlineMs - performance.now();
    return leftMs === Number.POSITIVE_INFINITY ? undefined : Math.max(1, Math.ceil(leftMs));
  }

  arrived(index: number): void {
    this.next = index + 1;
    this.#attempt = 0;
    this.#cutShort = 0;
    this.#giveUpMs = Number.POSITIVE_INFINITY;
    this.#backoff.reset();
  }

  /** @throws what failed, when asking again is no use. */
  async again(thrown: unknown): Promise<void> {
    const { taskId, signal, onResume, patienceMs } = this.#options;
    const error = ConnectError.from(thrown);
    const nowMs = performance.now();
    if (signal.aborted || !this.#mayAskAgain(error)) throw thrown;
    this.#wasCutOff = true;
    this.#giveUpMs = Math.min(this.#giveUpMs, nowMs + patienceMs);
    const waitMs = this.#backoff.nextMs();
    if (nowMs + waitMs > Math.min(this.#giveUpMs, this.#deadlineMs)) throw thrown;
    onResume?.({ taskId, fromIndex: this.next, attempt: ++this.#attempt, error });
    await pause(waitMs, signal);
    if (signal.aborted) throw ConnectError.from(signal.reason, Code.Canceled);
  }

  #mayAskAgain(error: ConnectError): boolean {
    const { isCutOff, isCutShort } = this.#options;
    if (isCutShort(error)) return ++this.#cutShort < maxCutShort;
    if (error.code !== Code.Unavailable || error.metadata.has(taskEndedTrailer)) return false;
    return this.hasBegun || this.#wasCutOff || isCutOff(error);
  }
}

/** What one attempt asks for. */
export interface Attempt {
  readonly fromIndex: number;
  /** True when the task is there for certain: its id is enough. */
  readonly hasBegun: boolean;
  readonly timeoutMs: number | undefined;
}

/** A stream that goes on where it was when a call is cut off. @throws ConnectError what ended the task, or what there is no use to try again after. */
export async function* resumingStream(
  start: (attempt: Attempt) => AsyncIterable<TokenChunk>,
  options: ResumeOptions,
): AsyncGenerator<TokenChunk, void, undefined> {
  const attempts = new Attempts(options);
  for (;;) {
    try {
      const { next: fromIndex, hasBegun, timeoutMs } = attempts;
      for await (const chunk of start({ fromIndex, hasBegun, timeoutMs })) {
        attempts.arrived(chunk.index);
        yield chunk;
        if (chunk.isFinal) return;
      }
      return;
    } catch (thrown) {
      await attempts.again(thrown);
    }
  }
}

/** An answer that is asked for again when a call is cut off. @throws as {@link resumingStream}. */
export async function resumingAnswer(
  start: (timeoutMs: number | undefined) => Promise<TaskResponse>,
  options: ResumeOptions,
): Promise<TaskResponse> {
  const attempts = new Attempts(options);
  for (;;) {
    try {
      return await start(attempts.timeoutMs);
    } catch (thrown) {
      await attempts.again(thrown);
    }
  }
}

/** Ends early when the signal is aborted. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", over);
      resolve();
    };
    const timer = setTimeout(over, ms);
    signal.addEventListener("abort", over);
  });
}

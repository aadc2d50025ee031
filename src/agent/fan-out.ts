import type { ConnectError } from "@connectrpc/connect";
import type { Citation } from "../contract/index.ts";
import { type AgentEvent, abortError, askBounds, errorOf, resourceExhausted, toPeerError } from "../core/index.ts";
import type { AgentHandle, AskOptions } from "./define.ts";

/** One of the asks of a {@link fanOut}. */
export interface FanOutAsk extends AskOptions {
  readonly agent: Pick<AgentHandle, "name" | "stream">;
  readonly content: string;
}

export interface FanOutOptions {
  /** Asks that run at once, 1 to 64. Default 16. */
  readonly concurrency?: number;
  /** `"all"`: the first ask that fails ends the others, and is what {@link fanOut} fails with. `"settled"`: each has its outcome. Default `"all"`. */
  readonly mode?: "all" | "settled";
  /**
   * Ends all asks; {@link fanOut} then fails with the ConnectError that it is aborted with, else with CANCELLED. The end of the task, `ctx.signal`,
   * ends them anyway.
   */
  readonly signal?: AbortSignal;
}

/** What became of one ask. */
export interface FanOutOutcome {
  /** The agent's name, as its handle has it. */
  readonly name: string;
  /** All that came, also before it failed. */
  readonly events: readonly AgentEvent[];
  /** Their text. */
  readonly content: string;
  /** Their citations. */
  readonly citations: readonly Citation[];
  /** What it failed with; undefined when it did not. */
  readonly error: ConnectError | undefined;
}

/**
 * Asks several agents at once, 64 at most, and gives the outcomes in the order of the asks. Nothing that it has started goes on when it has ended.
 *
 * Each of them may use all that is left of the task's budget when it is asked: asks on other servers, which cannot see each other, may use more together.
 *
 * @throws ConnectError with `mode: "all"`, what the first ask failed with, its message led by which one it was; what `signal` ends it with.
 * @throws RangeError for options that cannot be.
 */
export async function fanOut(asks: readonly FanOutAsk[], options: FanOutOptions = {}): Promise<FanOutOutcome[]> {
  const { concurrency, mode, signal: caller } = checked(asks, options);
  const controller = new AbortController();
  const signal = joined(controller.signal, caller);
  const outcomes: FanOutOutcome[] = [];
  const waiting = asks.entries(); // shared: each worker takes the next
  const worker = async () => {
    for (const [index, ask] of waiting) {
      throwIfAborted(caller);
      const outcome = await outcomeOf(ask, signal);
      throwIfAborted(caller);
      if (mode === "all" && outcome.error !== undefined) {
        throw errorOf(`"${outcome.name}", ask ${index + 1} of ${asks.length}`, outcome.error);
      }
      outcomes[index] = outcome;
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(concurrency, asks.length) }, worker));
  } finally {
    controller.abort();
  }
  return outcomes;
}

async function outcomeOf({ agent, content, ...options }: FanOutAsk, signal: AbortSignal): Promise<FanOutOutcome> {
  const { name } = agent;
  const answer = new Answer();
  const stream = agent.stream(content, { ...options, signal: joined(signal, options.signal) });
  let error: ConnectError | undefined;
  try {
    for await (const event of stream) answer.add(event);
  } catch (thrown) {
    error = toPeerError(thrown, `agent "${name}" failed in an unforeseen way`);
  }
  return { name, ...answer.parts, error };
}

/** An answer as it comes. */
class Answer {
  readonly #events: AgentEvent[] = [];
  readonly #citations: Citation[] = [];
  #content = "";

  get parts(): Omit<FanOutOutcome, "name" | "error"> {
    return { events: this.#events, content: this.#content, citations: this.#citations };
  }

  /** @throws ConnectError RESOURCE_EXHAUSTED when it is too long. */
  add(event: AgentEvent): void {
    const { maxAnswerEvents, maxAnswerChars } = askBounds;
    if (this.#events.length >= maxAnswerEvents) throw tooLong(`has its ${maxAnswerEvents} events, the most kept`);
    if (event.case === "text") {
      if (this.#content.length + event.value.length > maxAnswerChars) throw tooLong(`is over ${maxAnswerChars} characters`);
      this.#content += event.value;
    } else if (event.case === "citation") this.#citations.push(event.value);
    this.#events.push(event);
  }
}

function tooLong(what: string): ConnectError {
  return resourceExhausted({ subject: "answer", description: `the answer ${what}` });
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal.reason, "whoever asked has stopped the asks");
}

function joined(signal: AbortSignal, other: AbortSignal | undefined): AbortSignal {
  return other === undefined ? signal : AbortSignal.any([signal, other]);
}

/** @throws RangeError */
function checked(asks: readonly FanOutAsk[], { concurrency = askBounds.concurrency, mode = "all", signal }: FanOutOptions) {
  const { maxAsks } = askBounds;
  if (asks.length > maxAsks) throw new RangeError(`there are ${asks.length} asks; ${maxAsks} are the most`);
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > maxAsks) {
    throw new RangeError(`concurrency is ${concurrency}; it must be a whole number from 1 to ${maxAsks}`);
  }
  if (mode !== "all" && mode !== "settled") throw new RangeError(`mode is "${mode}"; it must be "all" or "settled"`);
  return { concurrency, mode, signal };
}

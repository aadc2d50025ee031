import { ConnectError } from "@connectrpc/connect";
import {
  deadlineExceeded,
  describeIssues,
  internal,
  invalidArgument,
  resourceExhausted,
  timers,
  toolBounds,
  waitFor,
} from "../core/index.ts";
import type { Tool, ToolContext } from "./define.ts";

/** What a tool gave. */
export interface ToolOutcome<Output> {
  readonly output: Output;
  readonly resultJson: string;
}

/** Calls a tool, with arguments that are not checked yet. */
export interface ToolCallInit {
  readonly callId: string;
  readonly input: unknown;
}

/** What tools find where they run. */
type ToolPlace = Omit<ToolContext, "callId">;

/** Runs tools for one run of an agent: so many at once, each within its bounds. */
export class ToolRunner {
  readonly #ctx: ToolPlace;
  readonly #failed: (thrown: unknown, tool: string) => void;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  /** @param failed is told what nobody foresaw. Default: it goes to the log. */
  constructor(ctx: ToolPlace, failed = (err: unknown, tool: string) => ctx.log.error({ err, tool }, "tool failed")) {
    this.#ctx = ctx;
    this.#failed = failed;
  }

  /**
   * Checks the arguments and runs the tool.
   *
   * @throws ConnectError INVALID_ARGUMENT for other arguments; DEADLINE_EXCEEDED when it takes too long; RESOURCE_EXHAUSTED for a result that is too
   *   large, and when too many calls wait; what it throws itself; INTERNAL for anything else, and for a result that JSON cannot hold.
   */
  async run<Input, Output>(tool: Tool<Input, Output>, { callId, input }: ToolCallInit): Promise<ToolOutcome<Output>> {
    const checked = await this.check(tool, input);
    await this.#enter();
    try {
      return await this.#runOne(tool, callId, checked);
    } catch (thrown) {
      if (thrown instanceof ConnectError) throw thrown;
      this.#failed(thrown, tool.name);
      throw internal(`tool "${tool.name}" failed in an unforeseen way`, { cause: thrown });
    } finally {
      this.#leave();
    }
  }

  /** The arguments as the tool takes them. @throws ConnectError INVALID_ARGUMENT for others. */
  async check<Input>({ name, input: schema }: Tool<Input>, input: unknown): Promise<Input> {
    const result = await schema["~standard"].validate(input);
    if (result.issues === undefined) return result.value;
    const description = `the arguments are not as the tool wants them: ${describeIssues(result.issues)}`;
    throw invalidArgument([{ field: name, description }]);
  }

  async #runOne<Input, Output>(tool: Tool<Input, Output>, callId: string, input: Input): Promise<ToolOutcome<Output>> {
    const { signal } = this.#ctx;
    const controller = new AbortController();
    const stop = () => controller.abort(signal.reason);
    const late = () => controller.abort(deadlineExceeded(`tool "${tool.name}" took longer than its ${tool.timeoutMs} ms`));
    const due = timers.schedule(tool.timeoutMs, late);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    try {
      controller.signal.throwIfAborted(); // it may have waited for its place meanwhile
      const stopped = waitFor(controller.signal, () => () => {}) as Promise<never>; // it only ends by its signal
      const work = async () => tool.run(input, toolContext(this.#ctx, callId, controller.signal));
      const output = await Promise.race([stopped, work()]);
      return { output, resultJson: toJson(tool, output) };
    } finally {
      due.cancel();
      signal.removeEventListener("abort", stop);
    }
  }

  async #enter(): Promise<void> {
    if (this.#running < toolBounds.maxAtOnce) {
      this.#running++;
      return;
    }
    if (this.#waiting.length >= toolBounds.maxWaiting) {
      const description = `${toolBounds.maxWaiting} calls of tools wait in this run, the most allowed`;
      throw resourceExhausted({ subject: "tools at once", description });
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve)); // whoever leaves hands its place on
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running--;
    else next();
  }
}

/** @throws ConnectError RESOURCE_EXHAUSTED, as soon as it is known to be too large; INTERNAL for what JSON cannot hold. */
function toJson({ name, maxResultBytes }: Tool, output: unknown): string {
  const tooLarge = () => {
    const description = `the result of tool "${name}" is larger than ${maxResultBytes} bytes, the most allowed`;
    return resourceExhausted({ subject: "tool result", description });
  };
  let bytes = 0;
  const count = (key: string, value: unknown) => {
    bytes += key.length + (typeof value === "string" ? value.length : 1);
    if (bytes > maxResultBytes) throw tooLarge();
    return value;
  };
  let json: string;
  try {
    if (ArrayBuffer.isView(output)) throw new TypeError("bytes are no JSON");
    json = JSON.stringify(output, count) ?? "null";
  } catch (cause) {
    if (cause instanceof ConnectError) throw cause;
    throw internal(`the result of tool "${name}" is nothing that JSON can hold`, { cause });
  }
  if (Buffer.byteLength(json) > maxResultBytes) throw tooLarge();
  return json;
}

/** What the agent has is looked up when the tool asks for it. */
function toolContext(ctx: ToolPlace, callId: string, signal: AbortSignal): ToolContext {
  return {
    callId,
    signal,
    timeoutMs: () => ctx.timeoutMs(),
    get caller() {
      return ctx.caller;
    },
    get budget() {
      return ctx.budget;
    },
    get trace() {
      return ctx.trace;
    },
    get log() {
      return ctx.log;
    },
    get agents() {
      return ctx.agents;
    },
    get memory() {
      return ctx.memory;
    },
  };
}

import { type TracingChannel, tracingChannel } from "node:diagnostics_channel";
import { ConnectError } from "@connectrpc/connect";
import type { LanguageModel, SystemModelMessage } from "ai";
import { type AgentEvent, failedPrecondition, modelBounds, resourceExhausted, unavailable } from "../core/index.ts";
import { createCiteTool } from "./cite-tool.ts";
import type { AgentContext, Task, Tool, Yield } from "./define.ts";
import { citation, inputRequest, toolCall, toolResult, usage } from "./events.ts";
import { modelError } from "./model-errors.ts";
import { type ModelLimits, type ModelPrice, ModelSpending } from "./model-limits.ts";
import { messagesOf } from "./model-messages.ts";
import { ModelState } from "./model-state.ts";
import { ModelTap, type Part } from "./model-tap.ts";
import { toolSetOf } from "./model-tools.ts";
import { ModelWatch } from "./model-watch.ts";

export type ProviderOptions = NonNullable<SystemModelMessage["providerOptions"]>;

export interface ModelRun {
  readonly model: LanguageModel;
  readonly system: string | undefined;
  readonly tools: readonly Tool[];
  readonly cites: boolean;
  readonly limits: ModelLimits;
  readonly price: ModelPrice | undefined;
  readonly temperature: number | undefined;
  readonly providerOptions: ProviderOptions | undefined;
  readonly maxRetries: number;
}

/** After these the provider is asked. */
const beforeAnswer: ReadonlySet<Part["type"]> = new Set(["start", "start-step", "finish-step", "tool-result", "tool-error"]);

/** Loaded for the first model: it takes half a second. An import each time would take a fifteenth of a millisecond. */
let loaded: { readonly sdk: typeof import("ai"); readonly telemetry: TracingChannel } | undefined;

async function load() {
  const sdk = await import("ai");
  return { sdk, telemetry: tracingChannel(sdk.AI_SDK_TELEMETRY_TRACING_CHANNEL) };
}

/** Runs the AI SDK's loop over a model and tools, and gives what it says as events. @throws ConnectError as `modelAgent` says. */
export async function* runModel(task: Task, ctx: AgentContext, run: ModelRun): AsyncGenerator<Yield, void, undefined> {
  loaded ??= await load();
  const { sdk, telemetry } = loaded;
  const spending = new ModelSpending(ctx, run.limits, run.price);
  if (ctx.budget.tokens === 0) throw spending.exhausted;
  const { model, maxRetries, limits, system, temperature, providerOptions } = run;
  const { maxOutputTokens } = limits;
  const watch = new ModelWatch(limits, ctx.signal);
  const answer = new Answer(task.events, { spending, watch, tools: run.tools });
  const own = run.cites ? [...run.tools, answer.createCiteTool()] : run.tools;
  const tap = new ModelTap({ isFresh: task.events.length === 0, signal: watch.signal });
  try {
    // It is read once; `streamText` keeps it all for others.
    const result = sdk.experimental_streamTextLowMemory({
      model: tap.on(model, sdk),
      messages: messagesOf(task),
      tools: toolSetOf(sdk, { own, offered: task.availableTools, ctx }),
      stopWhen: ({ steps }) => {
        const step = steps.at(-1);
        if (step !== undefined) spending.count(step.usage);
        return spending.exhausted !== undefined;
      },
      abortSignal: watch.signal,
      maxRetries,
      ...(!isHeard(telemetry) && { telemetry: { isEnabled: false } }),
      onError: () => {}, // it comes as a part of the stream
      ...(system !== undefined && { instructions: system }),
      ...(temperature !== undefined && { temperature }),
      ...(providerOptions !== undefined && { providerOptions }),
      ...(maxOutputTokens !== undefined && { maxOutputTokens }),
    });
    for await (const parts of tap.read(result.stream, (part) => answer.state.note(part))) {
      for (const part of parts) for (const event of answer.eventsOf(part)) yield event;
    }
    answer.end();
  } catch (thrown) {
    throw watch.signal.reason ?? modelError(thrown);
  } finally {
    tap.close();
    watch.close();
  }
}

/** Whether anybody is told of the AI SDK's telemetry. To tell nobody takes a tenth of the time to the first token. */
function isHeard({ hasSubscribers }: TracingChannel): boolean {
  return hasSubscribers || (globalThis.AI_SDK_TELEMETRY_INTEGRATIONS?.length ?? 0) > 0;
}

interface AnswerInit {
  readonly spending: ModelSpending;
  readonly watch: ModelWatch;
  /** The agent's own. */
  readonly tools: readonly Tool[];
}

/** What the model has said so far. */
class Answer {
  readonly #spending: ModelSpending;
  readonly #watch: ModelWatch;
  /** Calls of tools whose result has not come. */
  readonly #open = new Set<string>();
  /** Those of them that are at work here: while they are, the model has nothing to say. */
  readonly #running = new Set<string>();
  readonly #tools: ReadonlySet<string>;
  /** What is wrong with calls that no tool gets. */
  readonly #invalid = new Map<string, string>();
  #finishReason: string | undefined;
  /** What there is to cite. */
  readonly #events: AgentEvent[];
  readonly #cited: AgentEvent[] = [];
  readonly state = new ModelState();

  constructor(before: readonly AgentEvent[], { spending, watch, tools }: AnswerInit) {
    this.#tools = new Set(tools.map(({ name }) => name));
    this.#spending = spending;
    this.#watch = watch;
    this.#events = [...before];
  }

  createCiteTool(): Tool {
    return createCiteTool(this.#events, (event) => this.#cited.push(event));
  }

  /** The events of a part, which nearly always is text. */
  eventsOf(part: Part): Iterable<Yield> {
    const events = part.type === "text-delta" ? textOf(part) : [...this.#take(part)];
    for (const event of events) {
      if (typeof event === "object" && (event.case === "toolCall" || event.case === "toolResult")) this.#events.push(event);
    }
    if (this.#running.size > 0) this.#watch.expect("tool");
    else this.#watch.expect(beforeAnswer.has(part.type) ? "answer" : "piece");
    return part.type === "tool-result" ? [...events, ...this.#cited.splice(0)] : events;
  }

  *#take(part: Part): Generator<Yield, void, undefined> {
    switch (part.type) {
      case "reasoning-delta":
        if (part.text !== "") yield { case: "reasoning", value: bounded(part.text) };
        return;
      case "tool-call":
        this.#open.add(part.toolCallId);
        if (part.invalid === true) this.#invalid.set(part.toolCallId, invalidity(part.error, part.toolName));
        else if (this.#tools.has(part.toolName)) this.#running.add(part.toolCallId);
        yield toolCall({
          id: part.toolCallId,
          name: part.toolName,
          arguments: part.input,
          providerState: this.state.of(part),
        });
        return;
      case "tool-result":
        this.#close(part);
        yield toolResult({ callId: part.toolCallId, json: JSON.stringify(part.output) ?? "null" });
        return;
      case "tool-error":
        this.#close(part);
        yield toolResult({ callId: part.toolCallId, json: this.#failure(part), isError: true });
        return;
      case "tool-output-denied":
        this.#close(part);
        yield toolResult({
          callId: part.toolCallId,
          json: `the call of tool "${part.toolName}" was not approved`,
          isError: true,
        });
        return;
      case "tool-approval-request":
        this.#running.delete(part.toolCall.toolCallId);
        yield approvalRequest(part);
        return;
      case "source":
        if (part.sourceType === "url") yield citation({ uri: part.url, title: part.title ?? "" });
        return;
      case "finish-step":
        this.#finishReason = part.finishReason;
        yield usage({ prompt: part.usage.inputTokens ?? 0, completion: part.usage.outputTokens ?? 0 });
        return;
      case "abort":
        throw brokenOff(); // unless it was stopped, which is said instead
      case "error":
        throw part.error;
    }
  }

  #close({ toolCallId }: { readonly toolCallId: string }): void {
    this.#open.delete(toolCallId);
    this.#running.delete(toolCallId);
  }

  /** What the tool said of it, where that may be told; else which tool, and no more. */
  #failure({ toolCallId, toolName, error }: Extract<Part, { type: "tool-error" }>): string {
    if (error instanceof ConnectError) return error.rawMessage;
    return this.#invalid.get(toolCallId) ?? `tool "${toolName}" failed`;
  }

  /** @throws ConnectError when what the model has said is not its whole answer. */
  end(): void {
    const reason = this.#finishReason;
    if (reason === "stop" || (reason === "tool-calls" && this.#open.size > 0)) return; // the caller's tools come next
    if (reason === "tool-calls") throw this.#spending.exhausted ?? brokenOff();
    if (reason === "length") {
      const description = "the model's answer is longer than the tokens that it may write";
      throw resourceExhausted({ subject: "model output tokens", description });
    }
    if (reason === "content-filter") {
      const description = "the model's provider withholds the answer: its content filter objects";
      throw failedPrecondition({ type: "CONTENT_FILTER", subject: "model", description });
    }
    throw brokenOff();
  }
}

function approvalRequest({
  approvalId: id,
  toolCall: { toolCallId, toolName, input },
}: Extract<Part, { type: "tool-approval-request" }>): AgentEvent {
  const { value } = toolCall({ id: toolCallId, name: toolName, arguments: input });
  return inputRequest({ id, prompt: `May the agent call the tool "${toolName}"?`, toolCall: value });
}

function textOf({ text }: Extract<Part, { type: "text-delta" }>): readonly Yield[] {
  return text === "" ? [] : [bounded(text)];
}

function bounded(text: string): string {
  if (text.length <= modelBounds.maxPieceChars) return text;
  const description = `the model has sent ${text.length} characters at once; ${modelBounds.maxPieceChars} are the most allowed`;
  throw resourceExhausted({ subject: "model output", description });
}

function invalidity(error: unknown, tool: string): string {
  const isUnknown = error instanceof Error && error.name === "AI_NoSuchToolError";
  return isUnknown ? `there is no tool "${tool}"` : `the arguments of tool "${tool}" are no JSON`;
}

function brokenOff(): ConnectError {
  return unavailable("the model's answer broke off before its end", modelBounds.retryMs);
}

import {
  type AgentContext,
  cite,
  inputRequest,
  type QuoteInit,
  type Task,
  type Tool,
  ToolRunner,
  toolCall,
  toolResult,
  toolSources,
} from "../agent/index.ts";
import type { Input, ToolCall, ToolResult } from "../contract/index.ts";
import { type AgentEvent, permissionDenied, toPeerError } from "../core/index.ts";
import { newId } from "./id.ts";
import { Paused } from "./paused.ts";
import type { Place } from "./place.ts";

/** A call that somebody was asked to allow, and what became of it. */
interface AskedCall {
  readonly call: ToolCall;
  readonly answer: Input | undefined;
  readonly result: ToolResult | undefined;
}

/** Calls the tools of one run of an agent, and has their calls and results in the task's log. */
export class OwnTools {
  readonly #place: Place;
  readonly #task: Task;
  readonly #runner: ToolRunner;
  /** Calls of the runs before that this one has come to again. */
  readonly #met = new Set<string>();
  /** What the tools have been asked and have given. */
  readonly #events: AgentEvent[];

  constructor(place: Place, task: Task, ctx: AgentContext) {
    this.#place = place;
    this.#task = task;
    this.#runner = new ToolRunner(ctx);
    this.#events = [...task.events];
  }

  /** @throws ConnectError as `AgentContext.tool` says. */
  async run<Input, Output>(tool: Tool<Input, Output>, input: unknown): Promise<Output> {
    if (!tool.approve) return await this.#call(tool, input, this.#announce(tool, input));
    const asked = this.#asked(tool, input);
    if (asked === undefined) {
      await this.#runner.check(tool, input); // nobody is asked about a call that would fail
      throw this.#ask(tool, this.#announce(tool, input));
    }
    const { call, answer, result } = asked;
    if (answer === undefined) throw new Paused();
    if (result !== undefined && !result.isError) return JSON.parse(result.resultJson);
    if (answer.approved === true) return await this.#call(tool, input, call);
    const error = permissionDenied(denial(tool, answer), "NOT_APPROVED");
    if (result === undefined) this.#place.emit(toolResult({ callId: call.callId, json: error.rawMessage, isError: true }));
    throw error;
  }

  /** @throws ConnectError as `AgentContext.cite` says. */
  cite(quote: QuoteInit): AgentEvent {
    return cite(quote, () => toolSources(this.#events));
  }

  #emit(event: AgentEvent): void {
    this.#events.push(event);
    this.#place.emit(event);
  }

  #announce(tool: Tool, input: unknown): ToolCall {
    const call = toolCall({ id: newId(), name: tool.name, arguments: input });
    this.#emit(call);
    return call.value;
  }

  async #call<Input, Output>(tool: Tool<Input, Output>, input: unknown, { callId }: ToolCall): Promise<Output> {
    try {
      const { output, resultJson } = await this.#runner.run(tool, { callId, input });
      this.#emit(toolResult({ callId, json: resultJson }));
      return output;
    } catch (thrown) {
      this.#emit(toolResult({ callId, json: toPeerError(thrown).rawMessage, isError: true }));
      throw thrown;
    }
  }

  #ask({ name }: Tool, call: ToolCall): Paused {
    const prompt = `May agent "${this.#place.agent.name}" call the tool "${name}"?`;
    this.#place.emit(inputRequest({ id: call.callId, prompt, toolCall: call }));
    return new Paused();
  }

  /** The same call of a run before, the first that this run has not come to. */
  #asked({ name }: Tool, input: unknown): AskedCall | undefined {
    const { events, inputs, toolResults } = this.#task;
    const argumentsJson = JSON.stringify(input) ?? "null";
    for (const event of events) {
      if (event.case !== "inputRequest" || event.value.toolCall === undefined) continue;
      const { inputId, toolCall: call } = event.value;
      if (call.toolName !== name || call.argumentsJson !== argumentsJson || this.#met.has(inputId)) continue;
      this.#met.add(inputId);
      const answer = inputs.find((each) => each.inputId === inputId);
      return { call, answer, result: toolResults.find(({ callId }) => callId === call.callId) };
    }
    return undefined;
  }
}

function denial({ name }: Tool, { text }: Input): string {
  return `the call of tool "${name}" was not approved${text === "" ? "" : `: ${text}`}`;
}

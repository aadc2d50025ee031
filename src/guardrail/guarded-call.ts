import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  Status,
  TaskRequestSchema,
  type TaskResponse,
  TaskResponseSchema,
  type TokenChunk,
  type ToolDefinition,
} from "../contract/index.ts";
import { type AgentEvent, guardrailBounds, resourceExhausted } from "../core/index.ts";
import type { Guardrail } from "./guardrail.ts";
import { verify } from "./verify.ts";

/** A call to an agent, and what checks its answer. */
export interface UnguardedCall {
  readonly request: MessageInitShape<typeof TaskRequestSchema>;
  readonly guardrails: readonly Guardrail[];
  /** The caller's. */
  readonly signal: AbortSignal | undefined;
  /** Milliseconds for the task and its verification; undefined or 0 for no end. */
  readonly timeoutMs: number | undefined;
  /** Streams the task from its first event on. */
  start(): AsyncIterable<TokenChunk>;
}

/** A call that gives nothing before all of it has passed. */
export interface GuardedCall {
  answer(): Promise<TaskResponse>;
  /** From the request's `fromIndex` on, without the events that a restart made void. */
  stream(): AsyncGenerator<TokenChunk, void, undefined>;
}

/**
 * Runs guardrails over calls. Clients of `convoke` do so by themselves; `connect` of `convoke/web` is handed it as `guard`, so that pages without
 * guardrails need not load it.
 *
 * Both ways of calling stream the task: guardrails look at all that it did.
 *
 * @throws ConnectError what the task fails with, what {@link verify} throws; RESOURCE_EXHAUSTED over 100,000 events or 16 Mi characters.
 */
export function guardCall({ request, guardrails, signal, timeoutMs, start }: UnguardedCall): GuardedCall {
  const { content: task, availableTools, fromIndex } = create(TaskRequestSchema, request);
  const pass = async () => {
    const endMs = performance.now() + (timeoutMs || Number.POSITIVE_INFINITY);
    const held = await hold(start());
    const leftMs = endMs - performance.now();
    const context = { task, availableTools, signal: signal ?? new AbortController().signal, timeoutMs: leftMs };
    const trace = held.flatMap((chunk) => eventOf(chunk) ?? []);
    const unverified = { result: answerOf(held, availableTools), trace, context };
    const verified = await verify(guardrails, unverified).catch((thrown: unknown) => {
      throw ConnectError.from(thrown, Code.Canceled); // what no ConnectError is was the signal's reason
    });
    return { ...verified, held };
  };
  return {
    answer: async () => (await pass()).result,
    async *stream() {
      const { held, trace } = await pass();
      for (const chunk of amend(held, trace)) if (chunk.index >= fromIndex) yield chunk;
    },
  };
}

async function hold(chunks: AsyncIterable<TokenChunk>): Promise<TokenChunk[]> {
  let held: TokenChunk[] = [];
  let chars = 0;
  for await (const chunk of chunks) {
    const { restartedFrom: from, text, toolCall, toolResult, citation } = chunk;
    if (from !== undefined) held = held.filter(({ index }) => index < from);
    held.push(chunk);
    for (const part of [text, toolCall?.argumentsJson, toolResult?.resultJson, citation?.quote]) chars += part?.length ?? 0;
    if (held.length > guardrailBounds.maxHeldEvents || chars > guardrailBounds.maxHeldChars) {
      const description = "the answer is too long to be held back until it has passed its guardrails";
      throw resourceExhausted({ subject: "guardrails", description });
    }
  }
  return held;
}

function eventOf({ text, toolCall, toolResult, citation, usage, restartedFrom, status }: TokenChunk): AgentEvent | undefined {
  if (toolCall) return { case: "toolCall", value: toolCall };
  if (toolResult) return { case: "toolResult", value: toolResult };
  if (citation) return { case: "citation", value: citation };
  if (usage) return { case: "usage", value: usage };
  return restartedFrom === undefined && !status ? { case: "text", value: text } : undefined;
}

/** As the server folds the same events. */
function answerOf(chunks: readonly TokenChunk[], tools: readonly ToolDefinition[]): TaskResponse {
  const { taskId = "", status = Status.UNSPECIFIED, spending } = chunks.at(-1) ?? {};
  const answer = create(TaskResponseSchema, { taskId, status, usage: {}, ...(spending && { spending }) });
  const answered = new Set(chunks.map(({ toolResult }) => toolResult?.callId));
  const isOpen = (id: string, name: string) => !answered.has(id) && tools.some((tool) => tool.name === name);
  for (const { text, citation, usage, toolCall } of chunks) {
    answer.content += text;
    if (citation) answer.citations.push(citation);
    if (toolCall && (status !== Status.REQUIRES_TOOL_CALL || isOpen(toolCall.callId, toolCall.toolName)))
      answer.toolCalls.push(toolCall);
    if (usage && answer.usage) {
      answer.usage.promptTokens += usage.promptTokens;
      answer.usage.completionTokens += usage.completionTokens;
    }
  }
  return answer;
}

/** The same chunks with the texts and citations of the trace; text that no chunk can take goes with the last one. */
function amend(chunks: readonly TokenChunk[], trace: readonly AgentEvent[]): TokenChunk[] {
  let next = 0;
  return chunks.map((chunk) => {
    const event = eventOf(chunk) || chunk.isFinal ? trace[next++] : undefined;
    if (event?.case === "text") return { ...chunk, text: event.value };
    return event?.case === "citation" ? { ...chunk, citation: event.value } : chunk;
  });
}

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Spending, Status, type TaskRequestSchema, type TokenChunk } from "../contract/index.ts";
import { type AgentEvent, deadlineExceeded, unavailable } from "../core/index.ts";
import type { Meter } from "./meter.ts";

/** The agents of another server, as far as a task calls them; `Agents` of a client are such. */
export interface RemoteAgents {
  stream(
    task: MessageInitShape<typeof TaskRequestSchema>,
    options: { readonly signal: AbortSignal; readonly timeoutMs: number; readonly metadata: Record<string, string> },
  ): AsyncIterable<TokenChunk>;
}

/** The agents of other servers. */
export interface AgentsElsewhere {
  /** Those that have a capability. When there are none, they fail when they are called. */
  find(capability: string): RemoteAgents;
  /** Whether there is one now. @throws ConnectError UNAVAILABLE when that cannot be known; what `signal` is aborted with. */
  has(capability: string, options: { readonly signal: AbortSignal }): Promise<boolean>;
}

/**
 * What a remote agent streams, as events, while its spending is counted.
 *
 * @param chain names the agents from the outermost to the one that is called, for errors.
 * @throws ConnectError what the call failed with; DEADLINE_EXCEEDED names the chain.
 */
export async function* remoteEvents(
  chunks: AsyncIterable<TokenChunk>,
  { meter, chain }: { meter: Meter; chain: string },
): AsyncGenerator<AgentEvent, void, undefined> {
  let counted = 0;
  let spending: Pick<Spending, "tokens" | "calls"> = { tokens: 0, calls: 0 };
  try {
    for await (const chunk of chunks) {
      if (chunk.status !== Status.UNSPECIFIED) {
        spending = chunk.spending ?? spending;
        continue;
      }
      if (chunk.restartedFrom !== undefined) throw begunAnew(chain);
      const event = toEvent(chunk);
      counted += meter.count(event);
      yield event;
    }
  } catch (thrown) {
    const error = ConnectError.from(thrown);
    if (error.code !== Code.DeadlineExceeded) throw error;
    throw deadlineExceeded(`${chain}: ${error.rawMessage}`);
  } finally {
    meter.add(spending, counted);
  }
}

/** What was handed on cannot be taken back. */
function begunAnew(chain: string): ConnectError {
  return unavailable(`${chain}: its server died, and it began anew`, 1_000);
}

function toEvent({
  text,
  reasoning,
  guardrailBlock,
  handoff,
  inputRequest,
  input,
  toolCall,
  toolResult,
  citation,
  usage,
}: TokenChunk): AgentEvent {
  if (toolCall !== undefined) return { case: "toolCall", value: toolCall };
  if (toolResult !== undefined) return { case: "toolResult", value: toolResult };
  if (citation !== undefined) return { case: "citation", value: citation };
  if (usage !== undefined) return { case: "usage", value: usage };
  if (guardrailBlock !== undefined) return { case: "guardrailBlock", value: guardrailBlock };
  if (handoff !== undefined) return { case: "handoff", value: handoff };
  if (inputRequest !== undefined) return { case: "inputRequest", value: inputRequest };
  if (input !== undefined) return { case: "input", value: input };
  if (reasoning !== undefined) return { case: "reasoning", value: reasoning };
  return { case: "text", value: text };
}

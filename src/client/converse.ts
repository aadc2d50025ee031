import { randomUUID } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import {
  type AgentService,
  type ConverseRequest,
  ConverseRequestSchema,
  type ConverseResponse,
  type Input,
  type ToolResult,
} from "../contract/index.ts";
import { type CallDefaults, type CallOptions, callOptionsOf } from "../web/index.ts";

type Action = NonNullable<MessageInitShape<typeof ConverseRequestSchema>["action"]>;
type TurnInit = Extract<Action, { case: "startTurn" }>["value"];

/** A conversation has no guardrails: its events are there to be seen as they happen. */
export interface ConverseOptions extends Omit<CallOptions, "guardrails"> {
  /** A conversation to go on with. Default: a new one. */
  readonly conversationId?: string;
}

/**
 * One conversation: send turns, iterate over the events of their answers. The call starts at once.
 *
 * Iterate it once. The iteration ends after {@link Chat.end} when the last turn is finished; leaving it early stops the running
 * turn. It throws the ConnectError that ended the conversation; a turn that fails only ends itself (`turnFinished`).
 */
export interface Chat extends AsyncIterable<ConverseResponse> {
  readonly conversationId: string;
  /** Starts a turn, after those sent before. @returns its task id. @throws Error after {@link Chat.end}. */
  send(turn: string | TurnInit): string;
  /** Answers a tool call of the turn that waits for it. */
  toolResult(result: Pick<ToolResult, "callId" | "resultJson"> & Partial<Pick<ToolResult, "isError">>): void;
  /** Gives what the turn that waits asked somebody for. */
  input(input: Pick<Input, "inputId"> & Partial<Pick<Input, "approved" | "text">>): void;
  /** Stops one turn, or the running one and those that wait. */
  cancelTurn(taskId?: string): void;
  /** Sends no more; the turns sent so far are still answered. */
  end(): void;
}

/** @throws TypeError where calls have guardrails by default: what they would refuse must not come another way. */
export function converse(client: Client<typeof AgentService>, options: ConverseOptions, defaults: CallDefaults): Chat {
  const { conversationId = randomUUID(), signal } = options;
  if (defaults.guardrails?.length)
    throw new TypeError("conversations have no guardrails; stream with a conversationId instead");
  const agentId = options.agent ?? defaults.agent ?? "";
  const capability = options.capability ?? defaults.capability ?? "";
  const outgoing = new Outgoing();
  const stopped = new AbortController();
  const responses = client.converse(outgoing, {
    ...callOptionsOf(options, defaults),
    signal: signal === undefined ? stopped.signal : AbortSignal.any([signal, stopped.signal]),
  });
  const send = (action: Action) =>
    outgoing.push(create(ConverseRequestSchema, { conversationId, agentId, capability, action }));
  return {
    conversationId,
    send(turn) {
      const value = typeof turn === "string" ? { content: turn } : turn;
      const taskId = value.taskId || randomUUID();
      send({ case: "startTurn", value: { ...value, taskId } });
      return taskId;
    },
    toolResult: (result) => send({ case: "toolResult", value: { ...result } }),
    input: (input) => send({ case: "input", value: { ...input } }),
    cancelTurn: (taskId = "") => send({ case: "cancelTurn", value: { taskId } }),
    end: () => outgoing.end(),
    async *[Symbol.asyncIterator]() {
      try {
        yield* responses;
      } finally {
        outgoing.end();
        stopped.abort();
      }
    },
  };
}

/** Messages on their way out: pushed by the caller, pulled by the transport. Bounded by what one person or agent types ahead. */
class Outgoing implements AsyncIterable<ConverseRequest> {
  static readonly maxQueued = 1_000;
  readonly #queue: ConverseRequest[] = [];
  #ended = false;
  #wake: () => void = () => {};

  push(request: ConverseRequest): void {
    if (this.#ended) throw new Error("the conversation has ended; open another one");
    if (this.#queue.length >= Outgoing.maxQueued) throw new Error(`${Outgoing.maxQueued} messages wait to be sent already`);
    this.#queue.push(request);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      const next = this.#queue.shift();
      if (next !== undefined) yield next;
      else if (this.#ended) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

import type { Conversation, Turn } from "../agent/index.ts";
import type { Limits } from "../core/index.ts";
import { BoundedMap } from "./bounded-map.ts";

/** The turns of every conversation, each caller's apart from the others'. */
export interface Conversations {
  /** The turns so far; none for a conversation not seen before. */
  read(caller: string, id: string): Conversation;
  /** Adds a finished turn; the oldest turns leave when the conversation is over its bounds. */
  append(caller: string, id: string, turn: Turn): void;
  /** Frees what is over its time. */
  sweep(): void;
}

export function createConversations(limits: Limits): Conversations {
  const turnsByKey = new BoundedMap<readonly Turn[]>({
    maxEntries: limits.maxConversations,
    maxBytes: limits.maxConversationsBytes,
    ttlMs: limits.conversationTtlMs,
  });
  return {
    read: (caller, id) => ({ id, turns: turnsByKey.get(key(caller, id)) ?? [] }),
    append(caller, id, turn) {
      const turns = [...(turnsByKey.get(key(caller, id)) ?? []), turn].slice(-limits.maxTurns);
      let bytes = turns.reduce((sum, each) => sum + sizeOf(each), 0);
      while (bytes > limits.maxConversationBytes) {
        const oldest = turns.shift();
        if (oldest === undefined) break;
        bytes -= sizeOf(oldest);
      }
      turnsByKey.set(key(caller, id), turns, bytes);
    },
    sweep: () => turnsByKey.sweep(),
  };
}

function key(caller: string, id: string): string {
  return `${caller}\n${id}`;
}

function sizeOf(turn: Turn): number {
  return turn.content.length + turn.answer.length + turn.taskId.length;
}

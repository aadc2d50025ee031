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
      const turns = lastTurns([...(turnsByKey.get(key(caller, id)) ?? []), turn], limits);
      turnsByKey.set(key(caller, id), turns, bytesOf(turns));
    },
    sweep: () => turnsByKey.sweep(),
  };
}

function key(caller: string, id: string): string {
  return `${caller}\n${id}`;
}

/** As many of the last turns as may be kept. */
export function lastTurns(all: readonly Turn[], { maxTurns, maxConversationBytes }: Limits): Turn[] {
  const turns = all.slice(-maxTurns);
  for (let bytes = bytesOf(turns); bytes > maxConversationBytes; ) bytes -= bytesOf(turns.splice(0, 1));
  return turns;
}

function bytesOf(turns: readonly Turn[]): number {
  return turns.reduce((bytes, { content, answer, taskId }) => bytes + content.length + answer.length + taskId.length, 0);
}

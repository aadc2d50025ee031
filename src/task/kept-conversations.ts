import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Conversation, Turn } from "../agent/index.ts";
import { ConversationTurnSchema } from "../contract/index.ts";
import { createBackoff, dataLoss, type Limits, pause, taskBounds, unavailable } from "../core/index.ts";
import { firstKept, isLengthConflict, type Store } from "../store/index.ts";
import { lastTurns } from "./conversations.ts";
import { callerKey } from "./entries.ts";

/** A conversation as its log has it. */
interface KeptTurns {
  readonly turns: readonly Turn[];
  /** Entries that are kept begin with this one. */
  readonly first: number;
  readonly length: number;
}

/** The turns of conversations in a store, a log each; servers that share it see each other's. */
export class KeptConversations {
  readonly #store: Store;
  readonly #limits: Limits;

  constructor(store: Store, limits: Limits) {
    this.#store = store;
    this.#limits = limits;
  }

  /** The last turns; none for a conversation not seen before. @throws ConnectError DATA_LOSS, and what the store throws. */
  async read(caller: string, id: string): Promise<Conversation> {
    const { turns } = await this.#load(logName(caller, id));
    return { id, turns: lastTurns(turns, this.#limits) };
  }

  /** Adds a finished turn, unless it is there. @throws ConnectError as {@link read}; UNAVAILABLE when other servers come first too often. */
  async append(caller: string, id: string, turn: Turn): Promise<void> {
    const log = logName(caller, id);
    const entry = toBinary(ConversationTurnSchema, create(ConversationTurnSchema, { ...turn, handedTo: turn.handedTo ?? "" }));
    const backoff = createBackoff({ initialMs: 1, maxMs: 50, jitter: 0.5 });
    for (let attempt = 0; attempt < taskBounds.maxTurnAttempts; attempt++) {
      const { turns, first, length } = await this.#load(log);
      if (turns.some(({ taskId }) => taskId === turn.taskId)) return;
      try {
        await this.#store.append(log, [entry], { expectedLength: length });
      } catch (thrown) {
        if (!isLengthConflict(thrown)) throw thrown;
        await pause(backoff.nextMs());
        continue;
      }
      const { maxTurns } = this.#limits;
      if (length - first > 2 * maxTurns) await this.#store.trim(log, length - maxTurns);
      return;
    }
    throw unavailable(`conversation "${id}" goes on at other servers all the time`, 100);
  }

  async #load(log: string): Promise<KeptTurns> {
    try {
      return await this.#readFrom(log, 0);
    } catch (thrown) {
      const first = firstKept(thrown);
      if (first === undefined) throw thrown;
      return await this.#readFrom(log, first);
    }
  }

  async #readFrom(log: string, first: number): Promise<KeptTurns> {
    const turns: Turn[] = [];
    for await (const bytes of this.#store.read(log, first)) turns.push(readTurn(log, first + turns.length, bytes));
    return { turns, first, length: first + turns.length };
  }
}

function readTurn(log: string, number: number, bytes: Uint8Array): Turn {
  try {
    const { taskId, agent, content, answer, handedTo } = fromBinary(ConversationTurnSchema, bytes);
    return { taskId, agent, content, answer, ...(handedTo !== "" && { handedTo }) };
  } catch {
    const metadata = { log, entry: String(number) };
    throw dataLoss(`entry ${number} of log "${log}" is no turn`, { reason: "CONVERSATION_DAMAGED", metadata });
  }
}

function logName(caller: string, id: string): string {
  return `conversation/${callerKey(caller)}/${id}`;
}

import { entryLost } from "./failures.ts";
import type { Attempt, NatsLink, Stored } from "./link.ts";
import { noHash, openLogMessage, type SealedLogMessage } from "./log-message.ts";
import type { Place } from "./subjects.ts";

/** A log's place. */
export interface LogPlace extends Place {
  readonly name: string;
}

/** A log as its last message tells of it. */
export interface LogEnd {
  /** The last message's sequence in the stream; 0 when there is none. */
  readonly seq: number;
  readonly length: number;
  /** The first entry that is kept. */
  readonly first: number;
  readonly lastAppendMs: number;
  /** The last message's hash. */
  readonly hash: string;
}

/** A log that has had no entry. */
export const noEnd: LogEnd = { seq: 0, length: 0, first: 0, lastAppendMs: 0, hash: noHash };

/** Asks the leader. */
export async function readLogEnd(link: NatsLink, place: LogPlace, attempt: Attempt): Promise<LogEnd> {
  const last = await link.last(place, attempt);
  return last === undefined ? noEnd : endOf(place.name, last);
}

/** The log's state after a message. @throws ConnectError DATA_LOSS when it is none of ours. */
function endOf(log: string, stored: Stored): LogEnd {
  const message = openLogMessage(log, stored);
  if (typeof message === "string") throw entryLost(log, 0, `${message}, the last of the log`);
  return endAfter(message, stored);
}

export function endAfter(
  { kind, number, count, first, hash, lastAppendMs }: SealedLogMessage,
  { seq, timeMs }: Stored,
): LogEnd {
  return { seq, length: number + count, first, lastAppendMs: kind === "entries" ? timeMs : lastAppendMs, hash };
}

/**
 * The sequence at which the append of an entry begins, for an entry below the length; beyond, that of the last message. The numbers grow
 * with the sequences, so it is found by halving: some twenty questions in a stream of a million messages.
 */
export async function findEntry(link: NatsLink, place: LogPlace, search: { number: number; end: LogEnd; attempt: Attempt }) {
  const { number, end, attempt } = search;
  if (number >= end.length) return end.seq;
  if (number === 0) return 1;
  let [low, high, found] = [1, end.seq + 1, end.seq];
  for (let probe = low; low < high; probe = Math.floor((low + high) / 2)) {
    const stored = await link.next(place, probe, attempt);
    if (stored === undefined) break; // trimmed meanwhile
    const message = openLogMessage(place.name, stored);
    if (typeof message === "string") throw entryLost(place.name, number, message);
    if (message.number + message.count <= number) low = stored.seq + 1;
    else {
      found = message.kind === "entries" && message.start > 0 ? message.start : stored.seq;
      if (probe === low) return found;
      high = probe;
    }
  }
  return found;
}

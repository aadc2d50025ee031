import { createHash } from "node:crypto";
import type { Stored } from "./link.ts";

/**
 * What a message of a log says of itself, in the header `Convoke-Log`. Each knows the log's state before it, so that the last one tells all.
 *
 * - `entries`: the entries of one append or of several that came together.
 * - `part`: a piece of an append that is too large for a message. It counts when the `entries` message that ends it is there; parts that
 *   somebody left behind are passed over.
 * - `trim`: the entries below `first` are gone.
 */
export interface LogMessage {
  readonly kind: "entries" | "part" | "trim";
  /** How many entries the log had before. */
  readonly number: number;
  /** How many entries it adds. */
  readonly count: number;
  /** The first entry that is kept. */
  readonly first: number;
  /** The sequence of the first part of this append; 0 when it is whole. */
  readonly start: number;
  /** When the log had its last entry before this message, in milliseconds since the epoch. */
  readonly lastAppendMs: number;
  /** The hash of the message before on the subject; "-" when there is none. */
  readonly previous: string;
}

/** A message as it was read. */
export interface SealedLogMessage extends LogMessage {
  /** Over all of the above, the log's name and the payload. */
  readonly hash: string;
}

export const logHeader = "Convoke-Log";
export const noHash = "-";

/** Characters of a hash: 132 bits of SHA-256 in base64url. */
const hashChars = 22;
const pattern = /^(entries|part|trim) (\d+) (\d+) (\d+) (\d+) (\d+) ([\w-]+) ([\w-]+)$/;

/** The header's text, and the hash in it. */
export function sealLogMessage(log: string, message: LogMessage, payload: Uint8Array): { header: string; hash: string } {
  const { kind, number, count, first, start, lastAppendMs, previous } = message;
  const fields = `${kind} ${number} ${count} ${first} ${start} ${lastAppendMs} ${previous}`;
  const hash = hashOf(log, fields, payload);
  return { header: `${fields} ${hash}`, hash };
}

/** What a stored message says; a string that says what is wrong when it is not what a store has written for this log. */
export function openLogMessage(log: string, { headers, data }: Pick<Stored, "headers" | "data">): SealedLogMessage | string {
  const text = headers.get(logHeader);
  const match = pattern.exec(text);
  if (match === null) return "a message has no header of ours";
  const [, kind, number, count, first, start, lastAppendMs, previous = "", hash = ""] = match;
  if (hashOf(log, text.slice(0, -hash.length - 1), data) !== hash) return "a message is not as it was written";
  return {
    kind: kind as LogMessage["kind"], // the pattern has no others
    number: Number(number),
    count: Number(count),
    first: Number(first),
    start: Number(start),
    lastAppendMs: Number(lastAppendMs),
    previous,
    hash,
  };
}

/** Entries as bytes: each with its length before it. */
export function packEntries(entries: readonly Uint8Array[]): Uint8Array {
  const packed = Buffer.allocUnsafe(entries.reduce((bytes, { byteLength }) => bytes + 4 + byteLength, 0));
  let offset = 0;
  for (const entry of entries) {
    offset = packed.writeUInt32BE(entry.byteLength, offset);
    packed.set(entry, offset);
    offset += entry.byteLength;
  }
  return packed;
}

/** The entries; undefined when there are others than `count`. */
export function unpackEntries(packed: Uint8Array, count: number): Uint8Array[] | undefined {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const entries: Uint8Array[] = [];
  let offset = 0;
  while (offset + 4 <= packed.byteLength) {
    const start = offset + 4;
    offset = start + view.getUint32(offset);
    if (offset > packed.byteLength) return undefined;
    entries.push(packed.subarray(start, offset));
  }
  return entries.length === count && offset === packed.byteLength ? entries : undefined;
}

function hashOf(log: string, fields: string, payload: Uint8Array): string {
  return createHash("sha256").update(`${log}\n${fields}\n`).update(payload).digest("base64url").slice(0, hashChars);
}

import { ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import type { ThreadEntry } from "../contract/index.ts";
import { dataLoss } from "./errors.ts";

/** Makes this use of the hash differ from any other. */
const purpose = "agent.v1.ThreadEntry";

/** What the sha256 of a thread's entry is taken over; `proto/agent/v1/memory_service.proto` says how it is written. */
export function chainBytes(thread: string, entry: ThreadEntry): Uint8Array<ArrayBuffer> {
  const { previousSha256, number, id, author, appendTime, kind, content, origin, metadata } = entry;
  const keys = Object.keys(metadata).sort(); // ASCII, so by their bytes
  const time = [appendTime?.seconds ?? 0n, appendTime?.nanos ?? 0];
  return netstrings([
    ...[purpose, previousSha256, thread, String(number), id],
    ...[author?.name ?? "", String(author?.proof ?? 0), ...time.map(String)],
    ...[kind, content, origin?.taskId ?? "", origin?.agent ?? ""],
    ...[String(keys.length), ...keys.flatMap((key) => [key, metadata[key] ?? ""])],
  ]);
}

/** https://cr.yp.to/proto/netstrings.txt */
function netstrings(fields: readonly string[]): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const lengthOf = (field: string) => (beyondAscii.test(field) ? encoder.encode(field).length : field.length);
  return encoder.encode(fields.map((field) => `${lengthOf(field)}:${field},`).join("")); // an encoding a field takes six times as long
}

const beyondAscii = /[^\0-\x7f]/;

/** Where an entry has to stand. */
export interface ChainPlace {
  readonly number: number;
  /** The sha256 of the entry before, empty for entry 0; undefined when it is not known. */
  readonly previousSha256: string | undefined;
  /** The sha256 of the entry's {@link chainBytes}. */
  readonly computedSha256: string;
}

/** Why an entry does not go on with its chain; undefined when it does. */
export function chainFault(entry: ThreadEntry, place: ChainPlace): string | undefined {
  const { number, previousSha256 = entry.previousSha256, computedSha256 } = place;
  if (entry.number !== number) return `there is entry ${entry.number} in its place`;
  if (entry.sha256 !== computedSha256) return "its hash is not that of what it says";
  if (entry.previousSha256 !== previousSha256) return "it does not go on from the entry before";
  if ((entry.previousSha256 === "") !== (number === 0)) return "the chain begins with it, and not with entry 0";
  return undefined;
}

const damagedReason = "THREAD_DAMAGED";

/** DATA_LOSS, reason THREAD_DAMAGED: an entry is not as it was appended. */
export function threadDamaged(at: { thread: string; number: number; why: string; cause?: unknown }): ConnectError {
  const { thread, number, why, cause } = at;
  const metadata = { thread, number: String(number) };
  return dataLoss(`thread "${thread}" is damaged at entry ${number}: ${why}`, { reason: damagedReason, metadata }, { cause });
}

/** True for what {@link threadDamaged} makes, here or at a server. */
export function isThreadDamaged(thrown: unknown): boolean {
  if (!(thrown instanceof ConnectError)) return false;
  return thrown.findDetails(ErrorInfoSchema).some(({ reason }) => reason === damagedReason);
}

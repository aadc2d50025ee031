import { createHash, randomUUID } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AuthorSchema, OriginSchema, Proof, type ThreadEntry, ThreadEntrySchema } from "../contract/index.ts";
import { chainBytes, chainFault, threadDamaged } from "../core/index.ts";
import type { CallerIdentity } from "../identity/index.ts";

/** What is appended to a thread; see `agent.v1.NewEntry`. */
export interface EntryInit {
  /** Its idempotency key within the thread. Default: a new one. */
  readonly id?: string;
  /** What it is. Default `note`. */
  readonly kind?: string;
  readonly content: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** The task that it comes from. */
  readonly origin?: { readonly taskId: string; readonly agent: string } | undefined;
}

/** Who appends. */
export type EntryAuthor = Pick<CallerIdentity, "name" | "proof">;

const proofs: Record<CallerIdentity["proof"], Proof> = { none: Proof.NONE, mtls: Proof.MTLS, token: Proof.TOKEN };

/** Where in a chain an entry goes. */
export interface ChainEnd {
  readonly thread: string;
  readonly number: number;
  readonly previousSha256: string;
}

/** Makes the entry that goes on with a chain. */
export function sealEntry(init: EntryInit, author: EntryAuthor, { thread, number, previousSha256 }: ChainEnd): ThreadEntry {
  const { id, kind, content, metadata = {}, origin } = init;
  const entry = create(ThreadEntrySchema, {
    number,
    id: id || randomUUID(),
    author: create(AuthorSchema, { name: author.name, proof: proofs[author.proof] }),
    appendTime: timestampFromMs(Date.now()),
    kind: kind || "note",
    content,
    metadata: { ...metadata },
    previousSha256,
  });
  if (origin !== undefined) entry.origin = create(OriginSchema, { taskId: origin.taskId, agent: origin.agent });
  entry.sha256 = hashOf(thread, entry);
  return entry;
}

/** True when an entry is what an author would append anew. */
export function isSame(entry: ThreadEntry, init: EntryInit, author: EntryAuthor): boolean {
  const at = { thread: "", number: entry.number, previousSha256: entry.previousSha256 };
  const anew = sealEntry(init, author, at);
  if (entry.appendTime !== undefined) anew.appendTime = entry.appendTime;
  return Buffer.compare(chainBytes("", anew), chainBytes("", entry)) === 0;
}

/** The record of an entry in its thread's log. */
export function writeRecord(entry: ThreadEntry): Uint8Array {
  return toBinary(ThreadEntrySchema, entry);
}

/** Where a record lies. */
export interface RecordPlace {
  readonly thread: string;
  readonly number: number;
  /** The sha256 of the entry before; undefined when it is not known. */
  readonly previousSha256: string | undefined;
}

/** @throws ConnectError DATA_LOSS when the record is not the entry that was appended there. */
export function readRecord(record: Uint8Array, { thread, number, previousSha256 }: RecordPlace): ThreadEntry {
  const entry = decode(record, { thread, number });
  const why = chainFault(entry, { number, previousSha256, computedSha256: hashOf(thread, entry) });
  if (why !== undefined) throw threadDamaged({ thread, number, why });
  return entry;
}

function decode(record: Uint8Array, at: Pick<RecordPlace, "thread" | "number">): ThreadEntry {
  try {
    return fromBinary(ThreadEntrySchema, record);
  } catch (cause) {
    throw threadDamaged({ ...at, why: "its record is no entry", cause });
  }
}

function hashOf(thread: string, entry: ThreadEntry): string {
  return createHash("sha256").update(chainBytes(thread, entry)).digest("hex");
}

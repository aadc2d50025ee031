import { randomUUID } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { LeaseSchema, type Load, type RegisteredAgent, RegisteredAgentSchema, type Registration } from "../contract/index.ts";
import { writeVarint } from "../core/index.ts";

/** Where registrations stand in the store: each under its place, then a name of its own. */
export const agentsPrefix = "registry/agent/";

/** A key for a lease on a place that no lease has had, so that whoever takes a place over need not end the lease before. */
export function newKey(place: string): string {
  return `${agentsPrefix}${place}/${randomUUID()}`;
}

/** The place of a key that {@link newKey} made. */
export function placeOfKey(key: string): string {
  return key.slice(agentsPrefix.length, key.lastIndexOf("/"));
}

export interface RecordInit {
  readonly place: string;
  readonly registration: Registration;
  readonly ttlMs: number;
  readonly load: Load | undefined;
}

/** For the number of bytes that stay. */
const prefixBytes = 4;

/**
 * A registration that begins now, as the value of its lease: how many bytes stay, those, then the load. That is another one with nearly every
 * renewal, and neither who writes nor who reads it works through the rest again. The revision is the store's to say.
 */
export function writeRecord({ place, registration, ttlMs, load }: RecordInit): Buffer {
  const lease = create(LeaseSchema, { id: place, ttl: durationFromMs(ttlMs) });
  const registerTime = timestampFromMs(Date.now());
  const staying = toBinary(RegisteredAgentSchema, create(RegisteredAgentSchema, { registration, lease, registerTime }));
  return join(staying, load);
}

/** The same registration with another load. */
export function replaceLoad(value: Buffer, load: Load): Buffer {
  return join(value.subarray(prefixBytes, stayingEnd(value)), load);
}

/** Undefined for what is none, which no registry of this version has written. */
export function readRecord(value: Uint8Array, revision: bigint): RegisteredAgent | undefined {
  try {
    const agent = fromBinary(RegisteredAgentSchema, value.subarray(prefixBytes));
    if (agent.registration?.agent === undefined || agent.lease === undefined) return undefined;
    agent.lease.revision = revision;
    return agent;
  } catch {
    return undefined;
  }
}

/** The load of a record that {@link readRecord} could read; undefined when it has none. */
export function readLoad(value: Uint8Array): Load | undefined {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  try {
    return fromBinary(RegisteredAgentSchema, bytes.subarray(stayingEnd(bytes))).load;
  } catch {
    return undefined;
  }
}

/** What a record lacks, as a message of its type to be put behind it. */
export function writeRevision(revision: bigint): Uint8Array {
  return toBinary(RegisteredAgentSchema, create(RegisteredAgentSchema, { lease: { revision } }));
}

/** Registrations as the store has them. */
type Written = Readonly<Record<"value" | "revisionBytes", Uint8Array>>;

/** DiscoverResponse in binary: some registrations, then `rest`. */
export function writeDiscovered(found: readonly Written[], rest: Uint8Array): Uint8Array {
  const most = found.reduce(
    (sum, { value, revisionBytes }) => sum + maxHeadBytes + value.length + revisionBytes.length,
    rest.length,
  );
  const bytes = Buffer.allocUnsafe(most);
  let at = 0;
  for (const { value, revisionBytes } of found) {
    bytes[at++] = agentsTag;
    at = writeVarint(bytes, at, value.length - prefixBytes + revisionBytes.length);
    bytes.set(value.subarray(prefixBytes), at);
    at += value.length - prefixBytes;
    bytes.set(revisionBytes, at);
    at += revisionBytes.length;
  }
  bytes.set(rest, at);
  return bytes.subarray(0, at + rest.length);
}

/** The tag of `DiscoverResponse.agents`: field 1, length-delimited. */
const agentsTag = 0x0a;
/** The tag, and a length of up to five bytes. */
const maxHeadBytes = 6;

function stayingEnd(value: Buffer): number {
  return prefixBytes + value.readUInt32BE();
}

/** The load is a message of the same type: two of them one behind the other are read as one. */
function join(staying: Uint8Array, load: Load | undefined): Buffer {
  const changing = toBinary(RegisteredAgentSchema, create(RegisteredAgentSchema, load && { load }));
  const value = Buffer.alloc(prefixBytes + staying.length + changing.length);
  value.writeUInt32BE(staying.length);
  value.set(staying, prefixBytes);
  value.set(changing, prefixBytes + staying.length);
  return value;
}

import { randomUUID } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { LeaseSchema, type Load, type RegisteredAgent, RegisteredAgentSchema, type Registration } from "../contract/index.ts";

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

/** A registration as the value of its lease. The revision is the store's to say. */
export function writeRecord(agent: RegisteredAgent): Uint8Array {
  return toBinary(RegisteredAgentSchema, agent);
}

/** Undefined for what is none, which no registry of this version has written. */
export function readRecord(value: Uint8Array, revision: bigint): RegisteredAgent | undefined {
  try {
    const agent = fromBinary(RegisteredAgentSchema, value);
    if (agent.registration?.agent === undefined || agent.lease === undefined) return undefined;
    agent.lease.revision = revision;
    return agent;
  } catch {
    return undefined;
  }
}

export interface RecordInit {
  readonly place: string;
  readonly registration: Registration;
  readonly ttlMs: number;
  readonly load: Load | undefined;
}

/** A registration that begins now. */
export function createRecord({ place, registration, ttlMs, load }: RecordInit): RegisteredAgent {
  return create(RegisteredAgentSchema, {
    registration,
    lease: create(LeaseSchema, { id: place, ttl: durationFromMs(ttlMs) }),
    registerTime: timestampFromMs(Date.now()),
    ...(load !== undefined && { load }),
  });
}

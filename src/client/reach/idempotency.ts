import type { DescMethod, Message } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Level } from "@bufbuild/protobuf/wkt";

/** The contract says of the method itself that to do it again is harmless (`option idempotency_level`). */
export function isDeclaredIdempotent({ idempotency }: DescMethod): boolean {
  return idempotency === Level.NO_SIDE_EFFECTS || idempotency === Level.IDEMPOTENT;
}

/** Methods of the contract, in its present and its first form, that do something once for each key: a `task_id`, ids of entries. */
const keyedMethods: ReadonlySet<string> = new Set([
  ...["agent.v1.AgentService", "agent.AgentService"].flatMap((service) => [
    `${service}.ProcessTask`,
    `${service}.StreamResponse`,
  ]),
  "agent.v1.MemoryService.Append",
]);

/** Its requests may have keys: see {@link hasKeys}. */
export function takesKeys({ parent, name }: DescMethod): boolean {
  return keyedMethods.has(`${parent.typeName}.${name}`);
}

/**
 * The request names its task, or all entries that it appends: whoever sends it again attaches to that task, and is told of those entries
 * (`proto/agent/v1`). The methods cannot be declared idempotent, because a request without keys is a new one each time.
 */
export function hasKeys(message: Message | undefined): boolean {
  if (message === undefined) return false;
  if ("taskId" in message) return isKey(message.taskId);
  const entries: unknown = "entries" in message ? message.entries : undefined;
  return Array.isArray(entries) && entries.every(({ id }: { id?: unknown }) => isKey(id));
}

function isKey(id: unknown): boolean {
  return typeof id === "string" && id !== "";
}

import type { DescMethod, Message } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Level } from "@bufbuild/protobuf/wkt";

/** The contract says of the method itself that to do it again is harmless (`option idempotency_level`). */
export function isDeclaredIdempotent({ idempotency }: DescMethod): boolean {
  return idempotency === Level.NO_SIDE_EFFECTS || idempotency === Level.IDEMPOTENT;
}

/** Methods of the contract that run a task once for each `task_id`, in its present and its first form. */
const taskMethods: ReadonlySet<string> = new Set(
  ["agent.v1.AgentService", "agent.AgentService"].flatMap((service) => [`${service}.ProcessTask`, `${service}.StreamResponse`]),
);

/** Its requests may name the task that they want: see {@link namesItsTask}. */
export function runsTasks({ parent, name }: DescMethod): boolean {
  return taskMethods.has(`${parent.typeName}.${name}`);
}

/**
 * The request names its task: whoever sends it again attaches to that task (`proto/agent/v1/agent.proto`). The method cannot be
 * declared idempotent, because a request without a `task_id` is a new task each time.
 */
export function namesItsTask(message: Message | undefined): boolean {
  return message !== undefined && "taskId" in message && typeof message.taskId === "string" && message.taskId !== "";
}

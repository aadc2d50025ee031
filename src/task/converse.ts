import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import {
  type ConverseRequest,
  type ConverseResponse,
  ConverseResponseSchema,
  type TaskRequest,
  TaskRequestSchema,
} from "../contract/index.ts";
import { type AgentEvent, cancelled, type Finish, toPeerError, toRpcStatus } from "../core/index.ts";
import type { Caller } from "./caller.ts";
import { responseOf } from "./description.ts";
import { continues } from "./given.ts";
import type { LogEntry } from "./log.ts";
import type { TaskRecord } from "./record.ts";
import type { TaskRuntime } from "./runtime.ts";
import { statusOfError, waits } from "./status.ts";
import { TurnQueue } from "./turns.ts";

/**
 * Converse: turns come in, run one after another, and their events go out.
 *
 * @param idle ends a conversation in which no turn runs; the server aborts it with the reason when it drains.
 * @throws ConnectError for a malformed request or an unknown agent, and what `caller.signal` is aborted with. A turn that
 *   fails ends itself alone, with `turn_finished`.
 */
export async function* converse(
  runtime: TaskRuntime,
  requests: AsyncIterable<ConverseRequest>,
  { caller, idle }: { caller: Caller; idle: AbortSignal },
): AsyncGenerator<ConverseResponse> {
  const turns = new TurnQueue(runtime, caller);
  const reading = turns.readFrom(requests);
  const signal = AbortSignal.any([caller.signal, turns.failure]);
  const waiting = AbortSignal.any([signal, idle]);
  try {
    for (;;) {
      const turn = await turns.next(waiting);
      if (turn === undefined) break;
      if (turn.cancelled) yield refuse(turns, turn.request, cancelled("the caller cancelled the turn before it began"));
      else yield* runTurn(runtime, turn.request, { turns, caller, signal, waiting });
    }
  } finally {
    turns.close();
  }
  await reading;
}

interface TurnOptions {
  readonly turns: TurnQueue;
  readonly caller: Caller;
  readonly signal: AbortSignal;
  /** Aborted like `signal`, and also when a drain ends what only waits. */
  readonly waiting: AbortSignal;
}

async function* runTurn(runtime: TaskRuntime, request: TaskRequest, options: TurnOptions): AsyncGenerator<ConverseResponse> {
  const { turns, caller, signal, waiting } = options;
  const submitted = await attempt(() => runtime.submit(request, caller));
  if (submitted instanceof ConnectError) {
    yield refuse(turns, request, submitted);
    return;
  }
  let record = submitted;
  let hold = record.attendance.hold();
  try {
    for (let from = 0; ; ) {
      turns.current = record;
      for await (const page of record.log.read(from, signal)) {
        for (const { index, event } of page) {
          from = index + 1;
          yield respondEvent(turns, record, { index, event });
        }
      }
      if (!waits(record.status) || caller.isOfFirstContract) break; // that contract can give nothing: the next turn has its turn
      const given = await turns.given(record, waiting);
      if (given === undefined) break;
      if (!continues(given)) continue; // cancelled while it waited: its last event is in the log
      record = await runtime.submit(create(TaskRequestSchema, { taskId: record.id, ...given }), caller);
      const next = record.attendance.hold();
      hold.release();
      hold = next;
    }
    turns.current = undefined;
  } finally {
    hold.release(caller.isLost);
  }
}

function respondEvent(turns: TurnQueue, record: TaskRecord, entry: Pick<LogEntry, "index" | "event">): ConverseResponse {
  const { index, event } = entry;
  if (event.case === "restart")
    return respond(turns, record.id, { index, event: { case: "restartedFrom", value: event.value.from } });
  if (event.case === "guardrailBlock") {
    const value = { ...event.value, text: "" };
    return respond(turns, record.id, { index, event: { case: "guardrailBlock", value } });
  }
  if (event.case !== "finish") return respond(turns, record.id, { index, event });
  return respond(turns, record.id, { index, finish: event.value, record });
}

type Response =
  | { readonly index: number; readonly event: AgentEvent | { readonly case: "restartedFrom"; readonly value: number } }
  | { readonly index: number; readonly finish: Finish; readonly record?: TaskRecord };

function respond(turns: TurnQueue, taskId: string, response: Response): ConverseResponse {
  const { conversationId } = turns;
  if ("event" in response) {
    return create(ConverseResponseSchema, { conversationId, taskId, index: response.index, event: response.event });
  }
  const { status, error } = response.finish;
  const finished = create(ConverseResponseSchema, {
    conversationId,
    taskId,
    index: response.index,
    event: {
      case: "turnFinished",
      value: { status, usage: response.record === undefined ? {} : responseOf(response.record).usage },
    },
  });
  if (error !== undefined && finished.event.case === "turnFinished") finished.event.value.error = toRpcStatus(error);
  return finished;
}

/** Ends a turn that never ran. */
function refuse(turns: TurnQueue, request: TaskRequest, error: ConnectError): ConverseResponse {
  return respond(turns, request.taskId, { index: 0, finish: { status: statusOfError(error), error } });
}

async function attempt<T>(work: () => T | Promise<T>): Promise<T | ConnectError> {
  try {
    return await work();
  } catch (thrown) {
    return toPeerError(thrown);
  }
}

import { create } from "@bufbuild/protobuf";
import {
  SpendingSchema,
  Status,
  type TaskRequest,
  type TaskResponse,
  type TokenChunk,
  TokenChunkSchema,
} from "../contract/index.ts";
import { isPromise, outOfRange, type TaskEvent } from "../core/index.ts";
import { withBinaryForm } from "../wire/index.ts";
import type { Caller } from "./caller.ts";
import { responseOf } from "./description.ts";
import type { LogEntry } from "./log.ts";
import { publicCall } from "./public-call.ts";
import type { TaskRecord } from "./record.ts";
import type { TaskRuntime } from "./runtime.ts";
import { writeTaskId, writeTextChunk } from "./text-forms.ts";
import { firstValid } from "./valid.ts";

/**
 * ProcessTask: waits for the task and folds its log into one answer.
 *
 * @throws ConnectError what {@link TaskRuntime.submit} throws, what ended the task, or what the caller left with.
 */
export function processTask(runtime: TaskRuntime, request: TaskRequest, caller: Caller): TaskResponse | Promise<TaskResponse> {
  const record = runtime.submit(request, caller);
  return isPromise(record) ? record.then((each) => answerWhenSettled(each, caller)) : answerWhenSettled(record, caller);
}

function answerWhenSettled(record: TaskRecord, caller: Caller): TaskResponse | Promise<TaskResponse> {
  if (record.log.settled) return answerOf(record);
  return new Promise((resolve, reject) => {
    const settled = () => {
      forget();
      try {
        resolve(answerOf(record));
      } catch (error) {
        reject(error);
      }
    };
    const forget = caller.onLeave((reason) => {
      reject(reason); // first: leaving may end the task with another reason
      record.attendance.leave(settled, caller.isLost && record.namesTask); // who has no name for it cannot come back
    });
    record.attendance.attend(settled);
  });
}

function answerOf(record: TaskRecord): TaskResponse {
  const error = record.finish?.error;
  if (error !== undefined) throw error;
  return responseOf(record);
}

/**
 * StreamResponse: delivers the task's events from `from_index` on, as they come.
 *
 * @throws ConnectError what {@link TaskRuntime.submit} throws, or what ended the task; OUT_OF_RANGE beyond its end.
 */
export async function* streamTask(runtime: TaskRuntime, request: TaskRequest, caller: Caller): AsyncGenerator<TokenChunk> {
  const record = await runtime.submit(request, caller);
  const hold = record.attendance.hold();
  try {
    checkRange(record, request.fromIndex);
    const taskId = writeTaskId(record.id);
    const from = caller.isOfFirstContract ? firstValid(record.log.seen) : request.fromIndex;
    for await (const page of record.log.read(from, caller.signal)) {
      for (const entry of page) {
        throwIfFailed(entry.event);
        yield entry.event.case === "text" && !entry.isFinal ? toTextChunk(record, entry, taskId) : toChunk(record, entry);
      }
    }
  } finally {
    hold.release(caller.isLost);
  }
}

function checkRange(record: TaskRecord, fromIndex: number): void {
  const { settled, shown } = record.log;
  if (!settled || fromIndex <= shown) return;
  throw outOfRange(`from_index is ${fromIndex} but the task has ended with ${shown} events; ask from 0 to ${shown}`);
}

function throwIfFailed(event: TaskEvent): void {
  if (event.case === "finish" && event.value.error !== undefined) throw event.value.error;
}

/** As `create` makes it, and as protobuf-es writes it. */
function toTextChunk({ id: taskId }: TaskRecord, { index, event, elapsedMs }: LogEntry, taskIdBytes: Uint8Array): TokenChunk {
  const text = event.case === "text" ? event.value : "";
  const chunk: TokenChunk = {
    $typeName: TokenChunkSchema.typeName,
    taskId,
    text,
    isFinal: false,
    index,
    status: Status.UNSPECIFIED,
  };
  if (elapsedMs !== undefined) chunk.elapsedMs = elapsedMs;
  return withBinaryForm(chunk, writeTextChunk(taskIdBytes, { text, index, elapsedMs }));
}

function toChunk({ id: taskId, spending }: TaskRecord, { index, event, elapsedMs, isFinal }: LogEntry): TokenChunk {
  const chunk = create(TokenChunkSchema, { taskId, index, isFinal });
  if (elapsedMs !== undefined) chunk.elapsedMs = elapsedMs;
  switch (event.case) {
    case "text":
      chunk.text = event.value;
      break;
    case "reasoning":
      chunk.reasoning = event.value;
      break;
    case "toolCall":
      chunk.toolCall = publicCall(event.value);
      break;
    case "toolResult":
      chunk.toolResult = event.value;
      break;
    case "guardrailBlock":
      chunk.guardrailBlock = { ...event.value, text: "" };
      break;
    case "handoff":
      chunk.handoff = event.value;
      break;
    case "inputRequest":
      chunk.inputRequest = event.value;
      break;
    case "input":
      chunk.input = event.value;
      break;
    case "citation":
      chunk.citation = event.value;
      break;
    case "usage":
      chunk.usage = event.value;
      break;
    case "restart":
      chunk.restartedFrom = event.value.from;
      break;
    case "finish":
      chunk.status = event.value.status;
      if (spending !== undefined) chunk.spending = create(SpendingSchema, spending);
  }
  return chunk;
}

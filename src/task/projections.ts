import { create } from "@bufbuild/protobuf";
import { SpendingSchema, type TaskRequest, type TaskResponse, type TokenChunk, TokenChunkSchema } from "../contract/index.ts";
import { outOfRange, type TaskEvent } from "../core/index.ts";
import type { LogEntry } from "./log.ts";
import type { TaskRecord } from "./record.ts";
import type { Caller, TaskRuntime } from "./runtime.ts";

/**
 * ProcessTask: waits for the task and folds its log into one answer.
 *
 * @throws ConnectError what {@link TaskRuntime.submit} throws, what ended the task, or what the caller left with.
 */
export function processTask(runtime: TaskRuntime, request: TaskRequest, caller: Caller): TaskResponse | Promise<TaskResponse> {
  const record = runtime.submit(request, caller);
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
      record.leave(settled);
    });
    record.attend(settled);
  });
}

function answerOf(record: TaskRecord): TaskResponse {
  const error = record.finish?.error;
  if (error !== undefined) throw error;
  return record.response();
}

/**
 * StreamResponse: delivers the task's events from `from_index` on, as they come.
 *
 * @throws ConnectError what {@link TaskRuntime.submit} throws, or what ended the task; OUT_OF_RANGE beyond its end.
 */
export async function* streamTask(runtime: TaskRuntime, request: TaskRequest, caller: Caller): AsyncGenerator<TokenChunk> {
  const record = runtime.submit(request, caller);
  using _held = record.hold();
  checkRange(record, request.fromIndex);
  for await (const entry of record.log.read(request.fromIndex, caller.signal)) {
    throwIfFailed(entry.event);
    yield toChunk(record, entry);
  }
}

function checkRange(record: TaskRecord, fromIndex: number): void {
  const { length } = record.log.events;
  if (!record.log.settled || fromIndex <= length) return;
  throw outOfRange(`from_index is ${fromIndex} but the task has ended with ${length} events; ask from 0 to ${length}`);
}

function throwIfFailed(event: TaskEvent): void {
  if (event.case === "finish" && event.value.error !== undefined) throw event.value.error;
}

function toChunk({ id: taskId, spending }: TaskRecord, { index, event, isFinal }: LogEntry): TokenChunk {
  const chunk = create(TokenChunkSchema, { taskId, index, isFinal });
  switch (event.case) {
    case "text":
      chunk.text = event.value;
      break;
    case "toolCall":
      chunk.toolCall = event.value;
      break;
    case "toolResult":
      chunk.toolResult = event.value;
      break;
    case "citation":
      chunk.citation = event.value;
      break;
    case "usage":
      chunk.usage = event.value;
      break;
    case "finish":
      chunk.status = event.value.status;
      if (spending !== undefined) chunk.spending = create(SpendingSchema, spending);
  }
  return chunk;
}

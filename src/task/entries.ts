import { createHash } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import {
  EnvelopeSchema,
  type MemoryAddition,
  type Spending,
  SpendingSchema,
  Status,
  TaskBeginSchema,
  type TaskLogEntry,
  TaskLogEntrySchema,
  type TaskRequest,
} from "../contract/index.ts";
import {
  dataLoss,
  type Envelope,
  type Finish,
  fromRpcStatus,
  rootEnvelope,
  type TaskEvent,
  taskBounds,
  taskEndedTrailer,
  toRpcStatus,
} from "../core/index.ts";
import type { EntryAuthor } from "../memory/index.ts";
import type { Addition } from "./additions.ts";
import type { KeptEvent } from "./log.ts";
import { textEntryBytes, writeTextEntry } from "./text-forms.ts";

/** Where task logs stand in a store. */
const tasksPrefix = "task/";

/** What stands for a caller in the names of logs, which may be shorter than a caller's: the first 128 bits of SHA-256 in hexadecimal. */
export function callerKey(caller: string): string {
  let key = callerKeys.get(caller);
  if (key === undefined) {
    key = createHash("sha256").update(caller).digest("hex").slice(0, 32);
    if (callerKeys.size >= taskBounds.maxCallerKeys) callerKeys.clear();
    callerKeys.set(caller, key);
  }
  return key;
}

/** Each task's log is named several times while it runs. */
const callerKeys = new Map<string, string>();

/** How the names of a caller's tasks begin. */
export function callerPrefix(caller: string): string {
  return `${tasksPrefix}${callerKey(caller)}/`;
}

/** The log of a caller's task. */
export function taskLogName(caller: string, taskId: string): string {
  return callerPrefix(caller) + taskId;
}

/** How a task was accepted: entry 0 of its log. */
export interface Begin {
  readonly agent: string;
  readonly caller: EntryAuthor;
  readonly request: TaskRequest;
  readonly createTimeMs: number;
  readonly deadlineMs: number;
  readonly envelope: Envelope;
}

/** An event of a task, as a log keeps it. */
export interface KeptStep {
  readonly event: KeptEvent;
  readonly elapsedMs: number;
  /** With a `finish`. */
  readonly spending?: Pick<Spending, "tokens" | "calls"> | undefined;
  /** With a `finish`. */
  readonly additions?: readonly Addition[] | undefined;
}

/** @param runner the server that appends it, with its first entry. */
export function writeBegin(begin: Begin, runner: string): Uint8Array {
  const { agent, caller, request, createTimeMs, deadlineMs, envelope } = begin;
  const { hops, maxDepth, tokens, calls } = envelope;
  const value = create(TaskBeginSchema, {
    agent,
    caller: caller.name,
    callerProof: caller.proof,
    request,
    createTime: timestampFromMs(createTimeMs),
    deadline: timestampFromMs(Math.round(deadlineMs)),
    envelope: create(EnvelopeSchema, {
      hops: hops.map(({ agent, caller }) => ({ agent, caller })),
      ...(maxDepth !== undefined && { maxDepth }),
      ...(tokens !== undefined && { tokens }),
      ...(calls !== undefined && { calls }),
    }),
  });
  return toBinary(TaskLogEntrySchema, create(TaskLogEntrySchema, { runner, step: { case: "begin", value } }));
}

/** @param runner as of {@link writeBegin}; empty for later ones. */
export function writeStep(step: KeptStep, runner: string): Uint8Array {
  const { elapsedMs } = step;
  return toBinary(TaskLogEntrySchema, create(TaskLogEntrySchema, { runner, elapsedMs, step: stepOf(step) }));
}

/** Steps of one append: its texts are parts of one array, so that they are kept, and let go of, together. @param runner of the first of them. */
export function writeSteps(steps: readonly KeptStep[], runner: string): Uint8Array[] {
  const texts = steps.map(({ event }, index) =>
    typeof event === "string" && (index > 0 || runner === "") ? event : undefined,
  );
  let size = 0;
  for (const [index, { elapsedMs }] of steps.entries()) size += textEntryBytes(texts[index], elapsedMs);
  const bytes = Buffer.allocUnsafeSlow(size); // not of Node's pool, whose other parts would be kept with them
  let at = 0;
  return steps.map((step, index) => {
    const text = texts[index];
    if (text === undefined) return writeStep(step, index === 0 ? runner : "");
    const start = at;
    at = writeTextEntry(bytes, at, { text, elapsedMs: step.elapsedMs });
    return bytes.subarray(start, at);
  });
}

function stepOf({ event, spending, additions = [] }: KeptStep) {
  if (typeof event === "string") return { case: "text", value: event } as const;
  if (event.case !== "finish") return event;
  const { status, error } = event.value;
  const ending = {
    status,
    ...(error && { error: toRpcStatus(error) }),
    ...(spending && { spending: create(SpendingSchema, spending) }),
    additions: additions.map(({ thread, entry }) => ({ thread, entry: { ...entry, metadata: { ...entry.metadata } } })),
  };
  return { case: "finish", value: ending } as const;
}

/** Entry `number` of a log, as it was written. @throws ConnectError DATA_LOSS for what is none. */
export function readEntry(log: string, number: number, bytes: Uint8Array): TaskLogEntry {
  let entry: TaskLogEntry | undefined;
  try {
    entry = fromBinary(TaskLogEntrySchema, bytes);
  } catch {
    // said below
  }
  if (entry?.step.case !== undefined && (entry.step.case === "begin") === (number === 0)) return entry;
  throw damaged(log, number, "is no step of a task");
}

/** @throws ConnectError DATA_LOSS for what is none. */
export function beginOf(log: string, { step }: TaskLogEntry): Begin {
  const begin = step.case === "begin" ? step.value : undefined;
  if (begin?.request === undefined || begin.createTime === undefined || begin.deadline === undefined) {
    throw damaged(log, 0, "does not say how the task began");
  }
  const { agent, caller: name, callerProof, request, envelope } = begin;
  const proof = callerProof === "mtls" || callerProof === "token" ? callerProof : "none";
  return {
    agent,
    caller: { name, proof },
    request,
    createTimeMs: timestampMs(begin.createTime),
    deadlineMs: timestampMs(begin.deadline),
    envelope: envelope ?? rootEnvelope,
  };
}

/** The event of an entry that is no begin. */
export function stepIn({ step, elapsedMs }: TaskLogEntry): KeptStep {
  switch (step.case) {
    case "text":
      return { event: step.value, elapsedMs };
    case "finish": {
      const { status, error, spending, additions } = step.value;
      const failure = error && fromRpcStatus(error);
      failure?.metadata.set(taskEndedTrailer, "1");
      const value: Finish = { status: outcomeOf(status), ...(failure && { error: failure }) };
      return { event: { case: "finish", value }, elapsedMs, spending, additions: additions.flatMap(additionOf) };
    }
    default:
      return { event: step as TaskEvent, elapsedMs }; // the cases that are left are named alike, and readEntry has refused the others
  }
}

function additionOf({ thread, entry }: MemoryAddition): Addition[] {
  return entry === undefined ? [] : [{ thread, entry }];
}

function outcomeOf(status: Status): Finish["status"] {
  return status === Status.UNSPECIFIED || status === Status.RUNNING ? Status.ERROR : status;
}

function damaged(log: string, number: number, fault: string): ConnectError {
  const metadata = { log, entry: String(number) };
  return dataLoss(`entry ${number} of log "${log}" ${fault}`, { reason: "TASK_LOG_DAMAGED", metadata });
}

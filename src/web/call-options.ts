import { create } from "@bufbuild/protobuf";
import { type CallOptions as ConnectCallOptions, encodeBinaryHeader } from "@connectrpc/connect";
import { EnvelopeSchema } from "../contract/index.ts";
import { type Budget, envelopeHeader } from "../core/index.ts";
import type { Guardrail } from "../guardrail/index.ts";

import type { Resumption } from "./resume.ts";

/** What can be said of one call. */
export interface CallOptions {
  /** The agent to ask, by name. Default: the request's own `agentId`, then the server's default agent. */
  readonly agent?: string;
  /** The agent to ask, by what it can do, where none is named: the server's first that can. Default: the request's own `capability`. */
  readonly capability?: string;
  /** What the task and all that it calls may use; what is not said has no bound. Used up, it is RESOURCE_EXHAUSTED. Default: no bound. */
  readonly budget?: CallBudget;
  /** Milliseconds until the call fails with DEADLINE_EXCEEDED; 0 takes away a default. Default: the server's longest deadline. */
  readonly timeoutMs?: number;
  /** Stops the call, and the task with it unless it is `detached`. The call then fails with CANCELLED. Default: none. */
  readonly signal?: AbortSignal;
  /**
   * Lets the task run on when the caller leaves the loop or aborts the signal; it can be asked for by its `taskId`. Default: the request's own
   * `detached`, which is false where nothing is said: the task is cancelled.
   */
  readonly detached?: boolean;
  /**
   * Milliseconds for which a call that was cut off is made again and again without anything arriving, within `timeoutMs`; 0: it fails at once.
   * Default 60,000: as long as a server waits for the callers of a task.
   */
  readonly resumeForMs?: number;
  /** Told before a call that was cut off is made again. What it throws ends the call. Default: nobody is told. */
  readonly onResume?: (resumption: Resumption) => void;
  /**
   * Checks of the answer, in order; a call whose answer does not pass fails with FAILED_PRECONDITION. What they check is all that the task did, so
   * nothing of a stream is delivered before its end has passed. They hold for `process` and `stream`; `get` shows a task unchecked. Default: none.
   */
  readonly guardrails?: readonly Guardrail[];
  /** Request headers, gRPC's "metadata". A header given here replaces the default of the same name. */
  readonly metadata?: HeadersInit;
}

/** Bounds of a call and of everything below it, each a whole number of 0 to 4,294,967,295. */
export interface CallBudget extends Budget {
  /** Agents that call each other, the first one counted. Default: what each server allows, which is 8 unless it says otherwise. */
  readonly depth?: number;
}

/** What holds for every call that does not say otherwise. A signal belongs to one call and has no default. */
export type CallDefaults = Omit<CallOptions, "signal">;

/** What Connect is told of a call. */
export function callOptionsOf(options: CallOptions, defaults: CallDefaults): ConnectCallOptions {
  const headers = new Headers(defaults.metadata);
  new Headers(options.metadata).forEach((value, name) => {
    headers.set(name, value);
  });
  const { signal, timeoutMs = defaults.timeoutMs, budget = defaults.budget } = options;
  if (budget !== undefined) for (const [name, value] of Object.entries(budgetHeaders(budget))) headers.set(name, value);
  return { headers, ...(signal !== undefined && { signal }), ...(timeoutMs !== undefined && { timeoutMs }) };
}

/** @throws RangeError for a bound that is no whole number. */
function budgetHeaders({ tokens, calls, depth }: CallBudget): Record<string, string> {
  for (const [name, value] of Object.entries({ tokens, calls, depth })) {
    if (value === undefined || (Number.isInteger(value) && value >= 0 && value <= maxBudget)) continue;
    throw new RangeError(`budget.${name} is ${value}; it must be a whole number of 0 to ${maxBudget}`);
  }
  const message = create(EnvelopeSchema, {
    ...(tokens !== undefined && { tokens }),
    ...(calls !== undefined && { calls }),
    ...(depth !== undefined && { maxDepth: depth }),
  });
  return { [envelopeHeader]: encodeBinaryHeader(message, EnvelopeSchema) };
}

/** What a uint32 holds. */
const maxBudget = 0xffff_ffff;

/** Hands on what `start` gives. Connect's streams have no `return`, so a reader that leaves early would leave the call running. */
export async function* stoppable<T>(caller: AbortSignal | undefined, start: (signal: AbortSignal) => AsyncIterable<T>) {
  const reader = new AbortController();
  const signal = caller === undefined ? reader.signal : AbortSignal.any([caller, reader.signal]);
  try {
    yield* start(signal);
  } finally {
    reader.abort();
  }
}

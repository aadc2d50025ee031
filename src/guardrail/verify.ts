import type { TaskResponse } from "../contract/index.ts";
import { type AgentEvent, guardrailBlocked, guardrailBounds } from "../core/index.ts";
import { amendTrace } from "./amend.ts";
import type { Guardrail, GuardrailContext, Verdict } from "./guardrail.ts";

/** What is verified. */
export interface Unverified {
  readonly result: TaskResponse;
  readonly trace: readonly AgentEvent[];
  readonly context: GuardrailContext;
}

/** What has passed. */
export interface Verified {
  readonly result: TaskResponse;
  /** The trace with the text and the citations of the result. */
  readonly trace: readonly AgentEvent[];
  /** Who amended the result, and why. */
  readonly amendments: readonly Amendment[];
}

export interface Amendment {
  readonly guardrail: string;
  readonly reasons: readonly string[];
}

/**
 * Has guardrails check a result, one after another; each sees it as those before left it.
 *
 * A check has 30 seconds, and all together `context.timeoutMs`. One that computes without a pause cannot be stopped.
 *
 * @throws ConnectError FAILED_PRECONDITION with a PreconditionFailure when one blocks: each violation has type `GUARDRAIL`, the guardrail's name as
 *   its subject, and a reason. What a guardrail threw is its cause, and stays here. @throws what `context.signal` is aborted with.
 */
export async function verify(guardrails: readonly Guardrail[], { result, trace, context }: Unverified): Promise<Verified> {
  const endMs = performance.now() + context.timeoutMs;
  const amendments: Amendment[] = [];
  let verified = { result, trace };
  for (const guardrail of guardrails) {
    const timeoutMs = Math.max(0, Math.min(guardrailBounds.checkTimeoutMs, endMs - performance.now()));
    const verdict = await verdictOf(guardrail, { ...verified, context: { ...context, timeoutMs } });
    if (verdict?.outcome === "pass") continue;
    const { name } = guardrail;
    const reasons = reasonsOf(verdict);
    const amended = verdict?.outcome === "amend" ? amendedBy(verified.result, verdict.result) : undefined;
    if (amended === undefined) throw guardrailBlocked(name, reasons ?? ["gave no verdict"]);
    verified = { result: amended, trace: amendTrace(verified.trace, amended) };
    amendments.push({ guardrail: name, reasons: reasons ?? [] });
  }
  return { ...verified, amendments };
}

/** @throws ConnectError as {@link verify}. */
async function verdictOf(guardrail: Guardrail, { result, trace, context }: Unverified): Promise<Verdict | undefined> {
  const { signal, timeoutMs } = context;
  signal.throwIfAborted();
  const over = new AbortController();
  const stop = () => over.abort(signal.reason);
  signal.addEventListener("abort", stop);
  const late = guardrailBlocked(guardrail.name, ["took too long to check the result"]);
  const timer = setTimeout(() => over.abort(late), timeoutMs);
  try {
    return await new Promise<Verdict>((resolve, reject) => {
      over.signal.addEventListener("abort", () => reject(over.signal.reason));
      const checked = guardrail.check(result, trace, { ...context, signal: over.signal });
      Promise.resolve(checked).then(resolve, reject); // to resolve with a promise would leave nothing to reject
    });
  } catch (thrown) {
    if (over.signal.aborted) throw over.signal.reason;
    throw guardrailBlocked(guardrail.name, ["failed to check the result"], { cause: thrown });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    over.abort();
  }
}

/** Undefined when the verdict, which may come from anywhere, is none that has reasons. */
function reasonsOf(verdict: Verdict | undefined): string[] | undefined {
  const { reasons } = (verdict ?? {}) as { reasons?: unknown }; // whatever it is, it is looked at next
  if (!Array.isArray(reasons)) return undefined;
  const told = reasons
    .slice(0, guardrailBounds.maxReasons)
    .map((reason) => String(reason).slice(0, guardrailBounds.maxReasonChars));
  return told.length > 0 ? told : ["gave no reason"];
}

function amendedBy(result: TaskResponse, by: string | TaskResponse): TaskResponse | undefined {
  if (typeof by === "string") return { ...result, content: by };
  if (typeof by?.content !== "string" || !Array.isArray(by.citations)) return undefined;
  return { ...result, content: by.content, citations: by.citations };
}

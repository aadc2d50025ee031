import type { TaskResponse } from "../contract/index.ts";
import type { AgentEvent } from "../core/index.ts";

/** What is amended: text and citations; all else of a result stays as it was. */
type Amended = Pick<TaskResponse, "content" | "citations">;

/**
 * A trace that tells an amended result: as many events in the same places, with its text and citations. A trace without text gets one event more.
 *
 * What stands between text that both have at the beginning and text that both have at the end counts as one change. Events from within come
 * before it: a citation never covers words that it did not stand behind.
 */
export function amendTrace(trace: readonly AgentEvent[], { content, citations }: Amended): AgentEvent[] {
  const place = placesIn(textOf(trace), content);
  const last = trace.findLastIndex((event) => event.case === "text");
  let at = 0;
  let start = 0;
  let cited = 0;
  const amended = trace.map((event, index): AgentEvent => {
    if (event.case === "citation") return { case: "citation", value: citations[cited++] ?? event.value };
    if (event.case !== "text") return event;
    at += event.value.length;
    const end = index === last ? content.length : place(at);
    const value = content.slice(start, end);
    start = end;
    return { case: "text", value };
  });
  return last < 0 && content !== "" ? [...amended, { case: "text", value: content }] : amended;
}

/** The text of a trace. */
export function textOf(trace: readonly AgentEvent[]): string {
  return trace.map((event) => (event.case === "text" ? event.value : "")).join("");
}

/** Where positions of one text are in another. */
function placesIn(from: string, to: string): (position: number) => number {
  const shorter = Math.min(from.length, to.length);
  let same = 0;
  while (same < shorter && from[same] === to[same]) same++;
  let sameEnd = 0;
  while (sameEnd < shorter - same && from.at(-1 - sameEnd) === to.at(-1 - sameEnd)) sameEnd++;
  return (position) => {
    if (position >= from.length - sameEnd) return position + to.length - from.length;
    return Math.min(position, same);
  };
}

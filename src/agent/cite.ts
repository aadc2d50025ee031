import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { CitationSchema, type SourceRange, SourceRange_Unit, SourceRangeSchema, type ThreadEntry } from "../contract/index.ts";
import { type AgentEvent, citationBounds, failedPrecondition } from "../core/index.ts";
import { plain, stringsOf } from "../guardrail/index.ts";

/** Words of a source that the answer rests on. */
export interface QuoteInit {
  /** The exact words. Quotation marks, dashes and white space may differ as typesetting has them. */
  readonly quote: string;
  /** Where they stand: an entry of shared memory, or the whole text of a source. Default: the results of the task's tools, the latest first. */
  readonly from?: { readonly thread: string; readonly entry: ThreadEntry } | string;
  /** Default: `memory:THREAD#NUMBER` of an entry, `tool:NAME#CALL` of a tool's result. A text needs one. */
  readonly uri?: string;
  readonly title?: string;
}

/** Something that can be quoted. */
export interface Source {
  readonly uri: string;
  /** The tool whose result it is, if it is one. */
  readonly tool?: string;
  readonly texts: readonly string[];
  readonly sha256: string;
}

/** What the tools of a task have given, the latest first. */
export function toolSources(events: readonly AgentEvent[]): Source[] {
  const names = new Map<string, string>();
  const sources: Source[] = [];
  for (const event of events) {
    if (event.case === "toolCall") names.set(event.value.callId, event.value.toolName);
    if (event.case !== "toolResult" || event.value.isError) continue;
    const { callId, resultJson } = event.value;
    const tool = names.get(callId) ?? "";
    sources.unshift({
      tool,
      uri: `tool:${tool}#${callId}`,
      texts: stringsOf(resultJson),
      sha256: sha256Of(resultJson),
    });
  }
  return sources;
}

/**
 * The event that cites a source whose words have been found in it.
 *
 * @throws ConnectError FAILED_PRECONDITION, of type CITATION, when the source does not contain the quote, and for an empty one.
 */
export function cite(init: QuoteInit, sources: () => readonly Source[]): AgentEvent {
  const { quote, uri, title = "" } = init;
  const looked = plain(quote) === "" ? [] : sourcesOf(init, sources);
  for (const source of looked) {
    const found = find(quote, source.texts);
    if (found === undefined) continue;
    const value = create(CitationSchema, { uri: uri ?? source.uri, title, quote, sourceSha256: source.sha256, ...found });
    return { case: "citation", value };
  }
  const subject = uri ?? looked[0]?.uri ?? "";
  const shown = quote.length > citationBounds.maxShownChars ? `${quote.slice(0, citationBounds.maxShownChars)}…` : quote;
  throw failedPrecondition({ type: "CITATION", subject, description: `no source of the task contains the quote "${shown}"` });
}

function sourcesOf({ from, uri = "" }: QuoteInit, sources: () => readonly Source[]): readonly Source[] {
  if (from === undefined) return sources();
  if (typeof from === "string") return [{ uri, texts: [from], sha256: sha256Of(from) }];
  return [{ uri: `memory:${from.thread}#${from.entry.number}`, texts: [from.entry.content], sha256: from.entry.sha256 }];
}

/** Where a quote stands, as far as that can be said; undefined where it does not stand. */
function find(quote: string, texts: readonly string[]): { range?: SourceRange } | undefined {
  for (const text of texts) {
    const at = text.indexOf(quote);
    if (at !== -1) return { range: characters(text, at, quote) };
  }
  return texts.some((text) => plain(text).includes(plain(quote))) ? {} : undefined;
}

function characters(text: string, at: number, quote: string): SourceRange {
  const start = [...text.slice(0, at)].length + 1;
  return create(SourceRangeSchema, { unit: SourceRange_Unit.CHARACTER, start, end: start + [...quote].length - 1 });
}

function sha256Of(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

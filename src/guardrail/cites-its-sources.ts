import type { Citation } from "../contract/index.ts";
import { type AgentEvent, guardrailBounds } from "../core/index.ts";
import { claimsOf, paragraphEnd } from "./claims.ts";
import { blockFor, type Guardrail, quoted } from "./guardrail.ts";
import { plain, toolTexts } from "./quotes.ts";

export interface CitesItsSourcesOptions {
  /** Gives the text of a source, undefined where it is not known. Default: the results of the task's tools that name the source. */
  readonly sources?: (uri: string) => string | undefined | Promise<string | undefined>;
}

/**
 * Blocks an answer with a claim that no citation stands behind, or with a quote that is not in its source.
 *
 * Citations are events after the text that they support: one covers the text back to the citation before it, or to the beginning of its paragraph.
 * A sentence is covered when part of it is; citations with no text between them cover the same.
 *
 * Claims are the sentences of the text (Markdown) but questions, headings, code, introductions (`Found:`), greetings and other talk to the reader,
 * in English, and what has fewer than two words and no number.
 *
 * Quotes are compared without regard to white space, quotation marks, dashes and Unicode's compatible forms (NFKC). Of a source whose text is not
 * known, only that it is named is checked.
 */
export function citesItsSources({ sources }: CitesItsSourcesOptions = {}): Guardrail {
  return {
    name: "citesItsSources",
    async check({ content, citations }, trace) {
      return blockFor([...uncited(content, trace), ...(await misquoted(citations, trace, sources))]);
    },
  };
}

const { maxClaimChars, maxReasons } = guardrailBounds;

function uncited(content: string, trace: readonly AgentEvent[]): string[] {
  const covered = coveredBy(content, trace);
  let next = 0;
  return claimsOf(content).flatMap(({ text, start, end }) => {
    while ((covered[next]?.end ?? Number.POSITIVE_INFINITY) <= start) next++;
    const isCited = (covered[next]?.start ?? Number.POSITIVE_INFINITY) < end;
    return isCited ? [] : [`${quoted(text, maxClaimChars)} has no citation`];
  });
}

/** The stretches of text that citations cover, in order. */
function coveredBy(content: string, trace: readonly AgentEvent[]): { start: number; end: number }[] {
  const breaks = [...content.matchAll(paragraphEnd)].map(({ index, 0: { length } }) => ({ from: index, to: index + length }));
  const covered: { start: number; end: number }[] = [];
  let at = 0;
  let paragraph = 0;
  let last = 0;
  for (const event of trace) {
    if (event.case === "text") at += event.value.length;
    if (event.case !== "citation" || event.value.uri === "") continue;
    // white space between paragraph and citation is no paragraph of its own
    for (let gap = breaks[0]; gap !== undefined && content.slice(gap.to, at).trim() !== ""; gap = breaks[0]) {
      paragraph = gap.to;
      breaks.shift();
    }
    const start = Math.max(last, paragraph);
    if (content.slice(start, at).trim() === "") continue;
    covered.push({ start, end: at });
    last = at;
  }
  return covered;
}

async function misquoted(
  citations: readonly Citation[],
  trace: readonly AgentEvent[],
  sources: CitesItsSourcesOptions["sources"],
): Promise<string[]> {
  const reasons: string[] = [];
  const known = new Map<string, string | undefined>();
  let tools: string[] | undefined;
  for (const { uri, quote } of citations) {
    const words = plain(quote);
    if (uri === "") reasons.push("a citation names no source");
    if (uri === "" || words === "") continue;
    if (!known.has(uri)) {
      tools ??= toolTexts(trace);
      const source = (await sources?.(uri)) ?? sourceIn(tools, uri);
      known.set(uri, source === undefined ? undefined : plain(source));
    }
    if (known.get(uri)?.includes(words) === false)
      reasons.push(`the quote ${quoted(quote, maxClaimChars)} is not in ${quoted(uri, maxClaimChars)}`);
    if (reasons.length >= maxReasons) break;
  }
  return reasons;
}

/** What the tools told that named the source. */
function sourceIn(tools: readonly string[], uri: string): string | undefined {
  const told = tools.filter((text) => text.includes(uri));
  return told.length === 0 ? undefined : told.join("\n");
}

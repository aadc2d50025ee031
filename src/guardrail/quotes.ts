import type { AgentEvent } from "../core/index.ts";

const quotes: Readonly<Record<string, string>> = {
  "‘": "'",
  "’": "'",
  "‚": "'",
  "‛": "'",
  "“": '"',
  "”": '"',
  "„": '"',
  "«": '"',
  "»": '"',
  "‹": "'",
  "›": "'",
};

/** A text without what typesetting changes: Unicode's compatible forms (NFKC), quotation marks, dashes, invisible characters, white space. */
export function plain(text: string): string {
  return text
    .normalize("NFKC")
    .replace(/[‘’‚‛“”„«»‹›]/g, (mark) => quotes[mark] ?? mark)
    .replace(/\p{Pd}|−/gu, "-")
    .replace(/[\u00ad\u200b-\u200d\u2060\ufeff]/g, "")
    .replace(/\s+/g, " ")
    .trim();
}

/** The texts of a trace's tool results, those that failed left out. */
export function toolTexts(trace: readonly AgentEvent[]): string[] {
  return trace.flatMap((event) =>
    event.case === "toolResult" && !event.value.isError ? [stringsOf(event.value.resultJson).join("\n")] : [],
  );
}

/** All strings of a JSON text; a text that is no JSON as it is. */
export function stringsOf(json: string): string[] {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return [json];
  }
  const strings: string[] = [];
  const waiting = [value]; // no recursion: what a tool gives may be nested without end
  while (waiting.length > 0) {
    const next = waiting.pop();
    if (typeof next === "string") strings.push(next);
    else if (typeof next === "number") strings.push(String(next));
    else if (typeof next === "object" && next !== null) for (const each of Object.values(next).reverse()) waiting.push(each);
  }
  return strings;
}

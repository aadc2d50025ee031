import { invalidArgument, memoryBounds } from "../core/index.ts";

/** A term: an optional "-", then a phrase in quotes, which may lack the last one, or all up to the next blank or quote. */
const termPattern = /(-?)(?:"([^"]*)"?|([^\s"]+))/gu;
/** What FTS5's tokenizer takes for parts of words: letters, digits and private use (https://sqlite.org/fts5.html, section 4.3.1). */
const wordPattern = /[\p{L}\p{N}\p{Co}]/u;
/** Controls, and half characters, which SQLite cannot store. */
const noText = /[\p{Cc}\p{Surrogate}]/gu;

/**
 * A query as FTS5 has it: words and phrases that all have to be there, and `-` before those that must not be. Every term becomes a string
 * of FTS5, so nothing in it means anything but itself.
 *
 * @throws ConnectError INVALID_ARGUMENT when there is nothing to look for, or too much.
 */
export function toMatch(query: string): string {
  const { maxQueryChars, maxQueryTerms } = memoryBounds;
  if (query.length > maxQueryChars) throw wrong(`has ${query.length} characters; at most ${maxQueryChars} are allowed`);
  const wanted: string[] = [];
  const unwanted: string[] = [];
  for (const [, minus, phrase = "", word = ""] of query.replace(noText, " ").matchAll(termPattern)) {
    const term = phrase + word;
    if (wordPattern.test(term)) (minus === "-" ? unwanted : wanted).push(`"${term}"`);
  }
  const count = wanted.length + unwanted.length;
  if (count > maxQueryTerms) throw wrong(`has ${count} words and phrases; at most ${maxQueryTerms} are allowed`);
  if (wanted.length === 0) throw wrong('names nothing to look for; write words, "phrases", and -words that must not be there');
  const required = wanted.join(" AND ");
  return unwanted.length === 0 ? required : `(${required}) NOT (${unwanted.join(" OR ")})`;
}

function wrong(description: string) {
  return invalidArgument([{ field: "query", description }]);
}

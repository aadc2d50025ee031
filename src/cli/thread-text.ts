import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { SearchResponse, ThreadEntry } from "../contract/index.ts";
import type { ThreadState } from "../web/index.ts";
import { printable } from "./print.ts";

/** An entry for people: who, when and what in one line, its text below. */
export function entryText(entry: ThreadEntry): string {
  return `${headOf(entry)}\n${indented(entry.content)}\n`;
}

/** An entry's number and hash, as `--known` takes them. */
export function entryMark({ number, sha256 }: Pick<ThreadEntry, "number" | "sha256">): string {
  return `${number}:${sha256}`;
}

/** What was found, for people. */
export function searchText({ results, partial }: SearchResponse): string {
  const found = results.flatMap(({ thread, entry, snippet }) => {
    return entry === undefined ? [] : [`${thread}${headOf(entry)}\n${indented(snippet)}\n`];
  });
  const remark = partial ? "not all was searched: the index is full, not up to date yet, or a thread is damaged\n" : "";
  return `${found.length === 0 ? "nothing was found\n" : found.join("")}${remark}`;
}

/** What a walk along a chain came to. */
export function stateText({ first, length, sha256 }: ThreadState): string {
  if (first === length) return length === 0 ? "there is no entry\n" : `none of the ${length} entries is kept\n`;
  const last = length - 1;
  return `entries ${first} to ${last} are whole; the last one is ${entryMark({ number: last, sha256 })}\n`;
}

function headOf({ number, appendTime, kind, author }: ThreadEntry): string {
  const time = appendTime === undefined ? "-" : timestampDate(appendTime).toISOString();
  return `#${number}  ${time}  ${kind}  ${author?.name ?? "-"}`;
}

/** Below its head, so that no text looks like one. Whoever appended it does not steer the terminal. */
function indented(text: string): string {
  return printable(text.trimEnd()).replace(/^/gm, "    ");
}

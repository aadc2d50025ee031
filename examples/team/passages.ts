/** One block of a Markdown file: a paragraph, a list, a table, or a fenced code block. */
export interface Passage {
  readonly file: string;
  /** The headings that the block stands under, the outermost first. */
  readonly heading: string;
  /** The lines of the block, exactly as in the file. */
  readonly text: string;
  /** First and last line, from 1. */
  readonly line: readonly [first: number, last: number];
}

const headingPattern = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const underlinePattern = /^ {0,3}(?:(=+)|-{2,})\s*$/;
const fencePattern = /^ {0,3}(`{3,}|~{3,})/;
const itemPattern = /^\s*(?:[-*+]|\d+[.)])\s/;

/** Splits a Markdown text into its passages, in order. */
export function splitPassages(file: string, markdown: string): Passage[] {
  const lines = markdown.split(/(?<=\n)/); // with their ends, so that the text of a passage is the text of the file
  const passages: Passage[] = [];
  const trail: string[] = [];
  let at = frontMatterEnd(lines);
  while (at < lines.length) {
    const heading = headingAt(lines, at);
    if (heading) {
      trail.length = Math.min(trail.length, heading.level - 1);
      trail[heading.level - 1] = heading.title;
    }
    const end = heading?.end ?? blockEnd(lines, at);
    const text = lines.slice(at, end).join("").trimEnd();
    const isProse = /[\p{L}\p{N}]/u.test(text);
    if (!heading && isProse) passages.push({ file, heading: trail.filter(Boolean).join(" › "), text, line: [at + 1, end] });
    at = end;
  }
  return passages;
}

/** Behind the YAML between two `---` at the very top, which is about the file and not part of it. */
function frontMatterEnd(lines: readonly string[]): number {
  if (lines[0]?.trimEnd() !== "---") return 0;
  return lines.findIndex((line, at) => at > 0 && line.trimEnd() === "---") + 1;
}

function headingAt(lines: readonly string[], at: number) {
  const line = lines[at] ?? "";
  const [, marks = "", title = ""] = headingPattern.exec(line) ?? [];
  if (marks) return { level: marks.length, title, end: at + 1 };
  const underline = underlinePattern.exec(lines[at + 1] ?? "");
  if (!underline || isBlank(line) || itemPattern.test(line) || fencePattern.test(line)) return undefined;
  return { level: underline[1] ? 1 : 2, title: line.trim(), end: at + 2 };
}

/** The first line behind the block that starts at `at`; blank lines are blocks of their own, and of no interest. */
function blockEnd(lines: readonly string[], at: number): number {
  const first = lines[at] ?? "";
  if (isBlank(first)) return at + 1;
  const fence = fencePattern.exec(first)?.[1];
  if (fence) return fenceEnd(lines, at, fence);
  const isList = itemPattern.test(first);
  let end = at + 1;
  for (let next = end; next < lines.length; next += 1) {
    const line = lines[next] ?? "";
    if (isBlank(line)) {
      if (!isList) break;
      continue;
    }
    // A list goes on behind a blank line only with its next item, or with what is indented into the last one.
    const goesOn = next === end || itemPattern.test(line) || /^\s/.test(line);
    if (!goesOn || headingPattern.test(line) || fencePattern.test(line)) break;
    end = next + 1;
  }
  return end;
}

function fenceEnd(lines: readonly string[], at: number, fence: string): number {
  const closing = lines.findIndex((line, index) => {
    const mark = index > at ? line.trim() : "";
    return mark.length >= fence.length && mark === (fence[0] ?? "").repeat(mark.length);
  });
  return closing < 0 ? lines.length : closing + 1;
}

function isBlank(line: string): boolean {
  return line.trim() === "";
}

import { type DescMessage, type MessageShape, toJsonString } from "@bufbuild/protobuf";
import { type Citation, SourceRange_Unit, type ToolCall } from "../contract/index.ts";
import { errorDetails } from "../core/index.ts";

/** A message as one line of the contract's JSON. */
export function jsonLine<Desc extends DescMessage>(desc: Desc, message: MessageShape<Desc>): string {
  return `${toJsonString(desc, message, { registry: errorDetails })}\n`;
}

/** Sources as a numbered list for people. */
export function sourceList(citations: readonly Citation[]): string {
  if (citations.length === 0) return "";
  return `\nSources\n${citations.map((citation, index) => `  ${index + 1}. ${sourceLine(citation)}\n`).join("")}`;
}

/** The tool calls that the task waits for, for people. */
export function toolCallList(calls: readonly ToolCall[]): string {
  return calls.map((call) => `\nwaits for tool ${call.toolName}(${call.argumentsJson}), call ${call.callId}\n`).join("");
}

const unitNames: Record<SourceRange_Unit, string> = {
  [SourceRange_Unit.UNSPECIFIED]: "",
  [SourceRange_Unit.LINE]: "line",
  [SourceRange_Unit.SENTENCE]: "sentence",
  [SourceRange_Unit.PAGE]: "page",
};

function sourceLine({ uri, title, quote, range }: Citation): string {
  const place = range === undefined ? "" : `, ${unitNames[range.unit]} ${spanOf(range.start, range.end)}`;
  const name = title === "" || title === uri ? "" : ` (${title})`;
  const words = quote.replace(/\s+/g, " ").trim();
  return `${uri}${place}${name}${words === "" ? "" : `: “${words.length > 160 ? `${words.slice(0, 157)}…` : words}”`}`;
}

function spanOf(start: number, end: number): string {
  return end > start ? `${start}–${end}` : String(start);
}

import { type DescMessage, type MessageShape, toJsonString } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { type Citation, SourceRange_Unit } from "../contract/index.ts";
import { errorDetails, toRpcStatus } from "../core/index.ts";

/**
 * Writes to standard output and waits until it is taken: a slow reader slows the call down, and one that has left ends it.
 *
 * @throws the error of the stream, such as EPIPE.
 */
export function write(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

/** A message as one line of the contract's JSON. */
export function jsonLine<Desc extends DescMessage>(desc: Desc, message: MessageShape<Desc>): string {
  return `${toJsonString(desc, message, { registry: errorDetails })}\n`;
}

/** An error as one line of JSON: google.rpc.Status with the google.rpc details, the shape of a failed turn's `error`. */
export function statusLine(error: ConnectError): string {
  return jsonLine(StatusSchema, toRpcStatus(error));
}

/** Sources as a numbered list for people. */
export function sourceList(citations: readonly Citation[]): string {
  if (citations.length === 0) return "";
  return `\nSources\n${citations.map((citation, index) => `  ${index + 1}. ${sourceLine(citation)}\n`).join("")}`;
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

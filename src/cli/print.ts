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

/** Rows as a table for people, which grows; cells that are empty are shown as `-`. */
export interface Table {
  /** The lines of more rows; those of the columns' names come with the first ones. Columns only get wider. */
  lines(rows: readonly (readonly string[])[]): string;
}

export function createTable(columns: readonly string[]): Table {
  const widths = columns.map(() => 0);
  let isBegun = false;
  return {
    lines(rows) {
      const all = isBegun ? rows : [columns, ...rows];
      isBegun = true;
      const cells = all.map((row) => row.map((cell) => (cell === "" ? "-" : cell)));
      for (const row of cells) {
        row.forEach((cell, column) => {
          widths[column] = Math.max(widths[column] ?? 0, cell.length);
        });
      }
      const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ");
      return cells.map((row) => `${line(row).trimEnd()}\n`).join("");
    },
  };
}

/** Text of others without what steers a terminal; lines and tabs stay. */
export function printable(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, "\ufffd");
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
  [SourceRange_Unit.CHARACTER]: "character",
  [SourceRange_Unit.PAGE]: "page",
};

/** A source in one line. */
export function sourceLine({ uri, title, quote, range }: Citation): string {
  const place = range === undefined ? "" : `, ${unitNames[range.unit]} ${spanOf(range.start, range.end)}`;
  const name = title === "" || title === uri ? "" : ` (${title})`;
  const words = quote.replace(/\s+/g, " ").trim();
  return `${uri}${place}${name}${words === "" ? "" : `: “${words.length > 160 ? `${words.slice(0, 157)}…` : words}”`}`;
}

function spanOf(start: number, end: number): string {
  return end > start ? `${start}–${end}` : String(start);
}

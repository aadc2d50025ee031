import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { runTool } from "../support/tools.ts";

/** What curl got. */
export interface CurlAnswer {
  /** Such as `HTTP/1.1` or `HTTP/2`. */
  readonly version: string;
  readonly status: number;
  /** Statuses of the answers before the last one, such as 100. */
  readonly interim: readonly number[];
  readonly headers: Headers;
  readonly trailers: Headers;
  readonly body: Buffer;
}

/**
 * Runs curl.
 *
 * @param folder where curl may leave the headers that it got.
 * @throws Error with curl's own words when there was no answer.
 */
export async function runCurl(curl: string, folder: string, { args, input }: { args: readonly string[]; input?: Buffer }) {
  const headerFile = join(folder, randomUUID());
  const flags = ["--silent", "--show-error", "--noproxy", "*", "--dump-header", headerFile];
  const { exitCode, stdout, stderr } = await runTool(curl, [...flags, ...args], input);
  if (exitCode !== 0) throw new Error(`curl ended with ${exitCode}: ${stderr}`);
  return parse(await readFile(headerFile, "latin1"), stdout);
}

/** Blocks that begin with a status line, the last one possibly followed by a block of trailers. */
function parse(dump: string, body: Buffer): CurlAnswer {
  const blocks = dump.split(/\r\n\r\n/).map((block) => block.split("\r\n").filter((line) => line !== ""));
  const answers = blocks.filter(([line]) => line?.startsWith("HTTP/"));
  const statuses = answers.map(([line = ""]) => Number(line.split(" ")[1]));
  const [statusLine = "", ...headers] = answers.at(-1) ?? [];
  return {
    version: statusLine.split(" ")[0] ?? "",
    status: statuses.at(-1) ?? 0,
    interim: statuses.slice(0, -1),
    headers: toHeaders(headers),
    trailers: toHeaders(blocks.find(([line]) => line !== undefined && !line.startsWith("HTTP/")) ?? []),
    body,
  };
}

function toHeaders(lines: readonly string[]): Headers {
  return new Headers(lines.map((line): [string, string] => [line.split(":", 1)[0] ?? "", line.slice(line.indexOf(":") + 1)]));
}

import { readFileSync } from "node:fs";
import { defaultLimits } from "../core/index.ts";
import { UsageError } from "./failure.ts";

const maxBytes = defaultLimits.maxMessageBytes;

/**
 * All of standard input, without the white space at its end.
 *
 * @throws UsageError when it cannot be read, or is more than one message carries.
 */
async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of process.stdin) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > maxBytes) break;
    }
  } catch (thrown) {
    throw new UsageError(`standard input cannot be read: ${thrown instanceof Error ? thrown.message : thrown}`);
  }
  if (bytes > maxBytes)
    throw new UsageError(`standard input is more than ${maxBytes} bytes, the most that one message carries`);
  return Buffer.concat(chunks).toString("utf8").trimEnd();
}

/**
 * The text that an argument gives; without it, or with `-`, what standard input does.
 *
 * @param missing what to say when there is none.
 * @throws UsageError when there is none, and as {@link readStandardInput}.
 */
export async function readText(argument: string | undefined, missing: string): Promise<string> {
  const isTyped = argument === undefined && process.stdin.isTTY;
  const text = isTyped ? "" : argument === undefined || argument === "-" ? await readStandardInput() : argument;
  if (text.trim() === "") throw new UsageError(`${missing}; add the text, or give it on standard input`);
  return text;
}

/** @throws UsageError when the file that the option names cannot be read. */
export function readOptionFile(option: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (thrown) {
    throw new UsageError(`${option}: ${file} cannot be read (${thrown instanceof Error ? thrown.message : thrown})`);
  }
}

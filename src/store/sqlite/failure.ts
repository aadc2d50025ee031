import type { Operation } from "./batch.ts";

/** Why an operation failed, as it passes between threads. */
export type Failure = Refusal | FileFailure;

/** The file is well, and what was asked does not fit what is in it. */
export type Refusal =
  | { readonly case: "length"; readonly actual: number }
  | { readonly case: "held" }
  | { readonly case: "lost" };

/** What has nothing to do with what was asked. */
export type FileFailure =
  /** The file does not hold what was written; `entry` when it is known which. */
  | { readonly case: "damaged"; readonly why: string; readonly entry?: number }
  | { readonly case: "full"; readonly why: string }
  /** Another process has the file for itself for too long. */
  | { readonly case: "busy"; readonly why: string }
  /** The file is none that this store can use. */
  | { readonly case: "unfit"; readonly why: string }
  | { readonly case: "failed"; readonly why: string };

/** What is thrown where a failure is found, and caught where it is reported. */
export class Failed extends Error {
  readonly failure: FileFailure;

  constructor(failure: FileFailure) {
    super(failure.case);
    this.failure = failure;
  }
}

/** SQLite's result codes that mean more than "it failed"; extended ones first (https://sqlite.org/rescode.html). */
const meanings: readonly (readonly [pattern: RegExp, meaning: "damaged" | "full" | "busy"])[] = [
  [/^SQLITE_(?:FULL|IOERR_(?:WRITE|SHMSIZE|TRUNCATE))/, "full"],
  [/^SQLITE_(?:BUSY|LOCKED|PROTOCOL)/, "busy"],
  [/^SQLITE_(?:CORRUPT|NOTADB|IOERR_(?:CORRUPTFS|DATA|SHORT_READ))/, "damaged"],
  [/^SQLITE_CONSTRAINT/, "damaged"], // what is there already was not to be there
];

/** What a thrown value means. @throws the value itself when it is no failure of the file. */
export function failureOf(thrown: unknown): FileFailure {
  if (thrown instanceof Failed) return thrown.failure;
  const code = codeOf(thrown);
  if (!(thrown instanceof Error) || code === undefined) throw thrown;
  const why = `${thrown.message} (${code})`;
  const meaning = meanings.find(([pattern]) => pattern.test(code))?.[1] ?? "failed";
  return { case: meaning, why };
}

/** The code of an error of SQLite; a class of a native module is another one in each realm, and tells nothing. */
export function codeOf(thrown: unknown): string | undefined {
  if (typeof thrown !== "object" || thrown === null || !("code" in thrown)) return undefined;
  const { code } = thrown;
  return typeof code === "string" && code.startsWith("SQLITE_") ? code : undefined;
}

/** What an operation comes to: its number, or why it failed. */
export type Result = number | Failure;

/** Does one operation inside of a transaction. */
export type Apply = (operation: Operation) => Result;

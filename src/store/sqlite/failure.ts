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
  if (!isOfSqlite(thrown)) throw thrown;
  const meaning = meanings.find(([pattern]) => pattern.test(thrown.code))?.[1] ?? "failed";
  return { case: meaning, why: `${thrown.message} (${thrown.code})` };
}

/** By its code: the class of a native module is not the same one in each realm. */
function isOfSqlite(thrown: unknown): thrown is { readonly code: string; readonly message: string } {
  if (typeof thrown !== "object" || thrown === null || !("code" in thrown) || !("message" in thrown)) return false;
  return typeof thrown.code === "string" && thrown.code.startsWith("SQLITE_");
}

/** What an operation comes to: its number, or why it failed. */
export type Result = number | Failure;

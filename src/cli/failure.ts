import { Code, ConnectError } from "@connectrpc/connect";
import { CommanderError } from "commander";
import { codeName } from "../wire/index.ts";
import { Interrupted } from "./interrupts.ts";
import { ModuleError } from "./module-error.ts";
import { statusLine } from "./print.ts";
import { connectionProblem } from "./unreachable.ts";

/** Exit codes by kind of failure, for scripts. An interrupted program adds the signal's number to 128, as shells do. */
export const exitCodes = {
  failed: 1,
  usage: 2,
  unreachable: 3,
  notFound: 4,
  refused: 5,
  notAllowed: 6,
  exhausted: 7,
  deadline: 8,
  cancelled: 130,
  outputClosed: 141,
} as const;

/** The same for people, at the end of a command's help. */
export const exitCodesHelp = `
Exit codes
  0 answered · 1 the agent failed · 2 wrong usage · 3 server not reachable · 4 not found · 5 request refused
  6 not allowed · 7 too much asked · 8 deadline · 130 cancelled · 141 the output was closed`;

/** A mistake in how the command was called; the message says what would be right. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Files that are not in order, and options that cannot be, are the mistake of who named them. */
export async function orUsageError<T>(made: Promise<T>): Promise<T> {
  return made.catch((thrown: unknown) => {
    throw new UsageError(thrown instanceof Error ? thrown.message : String(thrown));
  });
}

interface Kind {
  readonly exit: number;
  readonly hint?: string;
}

const kinds: Partial<Record<Code, Kind>> = {
  [Code.Unavailable]: { exit: exitCodes.unreachable },
  [Code.NotFound]: { exit: exitCodes.notFound },
  [Code.InvalidArgument]: { exit: exitCodes.refused },
  [Code.FailedPrecondition]: { exit: exitCodes.refused },
  [Code.AlreadyExists]: { exit: exitCodes.refused },
  [Code.OutOfRange]: { exit: exitCodes.refused },
  [Code.Unimplemented]: { exit: exitCodes.refused, hint: "does a Convoke server answer at this address?" },
  [Code.Unauthenticated]: { exit: exitCodes.notAllowed },
  [Code.PermissionDenied]: { exit: exitCodes.notAllowed },
  [Code.ResourceExhausted]: { exit: exitCodes.exhausted, hint: "ask for less, or try again in a moment" },
  [Code.DeadlineExceeded]: { exit: exitCodes.deadline, hint: "--timeout gives more time" },
  [Code.Canceled]: { exit: exitCodes.cancelled },
};

/** What a failure comes to: the exit code, and the words for standard error. */
export interface Failure {
  readonly exit: number;
  /** Whole lines; empty when there is nothing to say. */
  readonly text: string;
}

export interface FailureOptions {
  /** The command that failed, to name its help. */
  readonly command?: string | undefined;
  /** Says what the server answered as google.rpc.Status in JSON, with its details. Wrong usage stays a sentence. */
  readonly json?: boolean;
}

/** Says what went wrong in one sentence, with a hint where one helps. */
export function describeFailure(thrown: unknown, { command, json = false }: FailureOptions = {}): Failure {
  if (thrown instanceof CommanderError) return describeUsage(thrown, command);
  if (thrown instanceof UsageError) return { exit: exitCodes.usage, text: line(thrown.message) };
  if (thrown instanceof ModuleError) return { exit: exitCodes.failed, text: line(thrown.message) + thrown.places };
  if (thrown instanceof Interrupted) return { exit: thrown.exit, text: line("cancelled") };
  if (thrown instanceof ConnectError) {
    const { exit, sentence } = describeCall(thrown);
    return { exit, text: json ? statusLine(thrown) : line(sentence) };
  }
  // The reader of our output has left, as `head` does: nothing to say, and nobody to hear it.
  if (isCode(thrown, "EPIPE")) return { exit: exitCodes.outputClosed, text: "" };
  return { exit: exitCodes.failed, text: line(thrown instanceof Error ? thrown.message : String(thrown)) };
}

/** What a call that failed means to people and to scripts. */
export function describeCall(error: ConnectError): { exit: number; sentence: string } {
  const problem = connectionProblem(error);
  if (problem !== undefined) return { exit: exitCodes.unreachable, sentence: problem };
  const { exit, hint }: Kind = kinds[error.code] ?? { exit: exitCodes.failed };
  return { exit, sentence: `${error.rawMessage} (${codeName(error.code)})${hint === undefined ? "" : `; ${hint}`}` };
}

/** True for an error of Node with this code. */
export function isCode(thrown: unknown, code: string): boolean {
  return thrown instanceof Error && "code" in thrown && thrown.code === code;
}

function describeUsage({ code, exitCode, message }: CommanderError, command: string | undefined): Failure {
  const exit = exitCode === 0 ? 0 : exitCodes.usage;
  if (/^commander\.(?:help|helpDisplayed|version)$/.test(code)) return { exit, text: "" }; // commander has printed it
  const help = command === undefined ? "convoke --help" : `convoke ${command} --help`;
  const sentence = message
    .replace(/^error: /, "")
    .replace(" is invalid. ", " is invalid: ")
    .replace(/\.$/, "");
  return { exit, text: line(`${sentence}; ${help} shows how`) };
}

function line(sentence: string): string {
  return `convoke: ${sentence.trim().replace(/\s*\n\s*/g, " ")}\n`;
}

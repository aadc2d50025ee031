import { Code, ConnectError } from "@connectrpc/connect";
import { codeName } from "../wire/index.ts";

/** Exit codes by kind of failure, for scripts. */
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
} as const;

/** A mistake in how the command was called; the message says what would be right. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

interface Kind {
  readonly exit: number;
  readonly hint?: string;
}

const kinds: Partial<Record<Code, Kind>> = {
  [Code.Unavailable]: { exit: exitCodes.unreachable, hint: "is the server running, and is this its address?" },
  [Code.NotFound]: { exit: exitCodes.notFound },
  [Code.InvalidArgument]: { exit: exitCodes.refused },
  [Code.FailedPrecondition]: { exit: exitCodes.refused },
  [Code.AlreadyExists]: { exit: exitCodes.refused },
  [Code.OutOfRange]: { exit: exitCodes.refused },
  [Code.Unimplemented]: { exit: exitCodes.refused, hint: "does a Convoke server answer at this address?" },
  [Code.Unauthenticated]: { exit: exitCodes.notAllowed, hint: 'credentials go in with --header "authorization: Bearer …"' },
  [Code.PermissionDenied]: { exit: exitCodes.notAllowed },
  [Code.ResourceExhausted]: { exit: exitCodes.exhausted, hint: "try again in a moment" },
  [Code.DeadlineExceeded]: { exit: exitCodes.deadline, hint: "--timeout gives more time" },
  [Code.Canceled]: { exit: exitCodes.cancelled },
};

/** Prints one sentence, with a hint where one helps, and sets the exit code. */
export function fail(thrown: unknown): void {
  if (thrown instanceof UsageError) {
    process.stderr.write(`convoke: ${thrown.message}\n`);
    process.exitCode = exitCodes.usage;
    return;
  }
  const error = thrown instanceof ConnectError ? thrown : undefined;
  const kind: Kind = (error && kinds[error.code]) ?? { exit: exitCodes.failed };
  const message = error === undefined ? messageOf(thrown) : `${error.rawMessage} (${codeName(error.code)})`;
  process.stderr.write(`convoke: ${message}${kind.hint === undefined ? "" : `; ${kind.hint}`}\n`);
  process.exitCode = kind.exit;
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

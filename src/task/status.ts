import { Code, type ConnectError } from "@connectrpc/connect";
import { Status } from "../contract/index.ts";

/** The status of a task that an error ended. */
export function statusOfError(error: ConnectError): Status.CANCELLED | Status.ERROR {
  return error.code === Code.Canceled ? Status.CANCELLED : Status.ERROR;
}

/** The trailer of an error that ended a task: to ask again would give it again, so callers do not. */
export const taskEndedTrailer = "convoke-task-ended";

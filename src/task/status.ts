import { Code, type ConnectError } from "@connectrpc/connect";
import { Status } from "../contract/index.ts";

/** The status of a task that an error ended. */
export function statusOfError(error: ConnectError): Status.CANCELLED | Status.ERROR {
  return error.code === Code.Canceled ? Status.CANCELLED : Status.ERROR;
}

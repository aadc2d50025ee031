import { Code, type ConnectError } from "@connectrpc/connect";
import { Status } from "../contract/index.ts";
import type { OpenRequests } from "./requests.ts";

/** The status of a task that an error ended. */
export function statusOfError(error: ConnectError): Status.CANCELLED | Status.ERROR {
  return error.code === Code.Canceled ? Status.CANCELLED : Status.ERROR;
}

/** True for a task that goes on when its caller, or somebody, has given what it asked for. */
export function waits(status: Status): status is Status.REQUIRES_TOOL_CALL | Status.REQUIRES_INPUT {
  return status === Status.REQUIRES_TOOL_CALL || status === Status.REQUIRES_INPUT;
}

/** The status of a task whose agent is done for now. */
export function statusOfEnd({ toolCalls, inputs }: OpenRequests) {
  if (inputs.length > 0) return Status.REQUIRES_INPUT;
  return toolCalls.length > 0 ? Status.REQUIRES_TOOL_CALL : Status.COMPLETED;
}

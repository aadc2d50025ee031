import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectError } from "@connectrpc/connect";
import { type Status as RpcStatus, StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { Status } from "../contract/index.ts";
import { errorDetails } from "../core/index.ts";

/** The status of a task that an error ended. */
export function statusOfError(error: ConnectError): Status.CANCELLED | Status.ERROR {
  return error.code === Code.Canceled ? Status.CANCELLED : Status.ERROR;
}

/** An error as google.rpc.Status. Of its details those of google.rpc go along; JSON could not carry types it does not know. */
export function toRpcStatus(error: ConnectError): RpcStatus {
  const details = [...errorDetails].flatMap((type) => {
    return type.kind === "message" ? error.findDetails(type).map((detail) => anyPack(type, detail)) : [];
  });
  return create(StatusSchema, { code: error.code, message: error.rawMessage, details });
}

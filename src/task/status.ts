import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectError } from "@connectrpc/connect";
import { type Status as RpcStatus, StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { Status } from "../contract/index.ts";

/** The status of a task that an error ended. */
export function statusOfError(error: ConnectError): Status.CANCELLED | Status.ERROR {
  return error.code === Code.Canceled ? Status.CANCELLED : Status.ERROR;
}

/** An error as google.rpc.Status, with its details. */
export function toRpcStatus(error: ConnectError): RpcStatus {
  const details = error.details.flatMap((detail) => {
    if ("desc" in detail) return [anyPack(detail.desc, create(detail.desc, detail.value))];
    return [{ $typeName: "google.protobuf.Any" as const, typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value }];
  });
  return create(StatusSchema, { code: error.code, message: error.rawMessage, details });
}

import { create, createRegistry } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  DebugInfoSchema,
  ErrorInfoSchema,
  HelpSchema,
  LocalizedMessageSchema,
  PreconditionFailureSchema,
  QuotaFailureSchema,
  RequestInfoSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.js";
import { type Status, StatusSchema } from "../../gen/google/rpc/status_pb.js";

/** The google.rpc error details. Whoever writes a message with an `Any` in it as JSON needs their types. */
export const errorDetails = /* @__PURE__ */ createRegistry(
  BadRequestSchema,
  DebugInfoSchema,
  ErrorInfoSchema,
  HelpSchema,
  LocalizedMessageSchema,
  PreconditionFailureSchema,
  QuotaFailureSchema,
  RequestInfoSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
);

/** An error as google.rpc.Status. Of its details those of google.rpc go along; JSON could not carry types it does not know. */
export function toRpcStatus(error: ConnectError): Status {
  const details = [...errorDetails].flatMap((type) => {
    return type.kind === "message" ? error.findDetails(type).map((detail) => anyPack(type, detail)) : [];
  });
  return create(StatusSchema, { code: error.code, message: error.rawMessage, details });
}

/** What {@link toRpcStatus} has written, as the error that it was. */
export function fromRpcStatus({ code, message, details }: Status): ConnectError {
  const error = new ConnectError(message, code in Code ? code : Code.Unknown);
  error.details = details.map(({ typeUrl, value }) => ({ type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1), value }));
  return error;
}

import { create, createFileRegistry } from "@bufbuild/protobuf";
import type { GenService } from "@bufbuild/protobuf/codegenv2";
import {
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  file_google_protobuf_wrappers,
  MethodOptions_IdempotencyLevel,
  type StringValueSchema,
} from "@bufbuild/protobuf/wkt";

interface Method<Kind> {
  methodKind: Kind;
  input: typeof StringValueSchema;
  output: typeof StringValueSchema;
}

type WireService = GenService<{
  say: Method<"unary">;
  list: Method<"server_streaming">;
  join: Method<"client_streaming">;
  chat: Method<"bidi_streaming">;
}>;

const type = ".google.protobuf.StringValue";
const method = { inputType: type, outputType: type };

/** `test.Wire`, a service with a method of every kind, whose messages are strings. `Say` has no side effects. */
export const Wire = createWire();

function createWire(): WireService {
  const file = create(FileDescriptorProtoSchema, {
    name: "test/wire.proto",
    package: "test",
    syntax: "proto3",
    dependency: ["google/protobuf/wrappers.proto"],
    service: [
      {
        name: "Wire",
        method: [
          { ...method, name: "Say", options: { idempotencyLevel: MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS } },
          { ...method, name: "List", serverStreaming: true },
          { ...method, name: "Join", clientStreaming: true },
          { ...method, name: "Chat", clientStreaming: true, serverStreaming: true },
        ],
      },
    ],
  });
  const files = create(FileDescriptorSetSchema, { file: [file_google_protobuf_wrappers.proto, file] });
  const service = createFileRegistry(files).getService("test.Wire");
  if (service === undefined) throw new Error("the descriptor has the service");
  return service as WireService; // the descriptor above says so
}

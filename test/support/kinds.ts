import { create, createFileRegistry } from "@bufbuild/protobuf";
import type { GenService } from "@bufbuild/protobuf/codegenv2";
import {
  FileDescriptorProtoSchema,
  file_google_protobuf_wrappers,
  MethodOptions_IdempotencyLevel,
  StringValueSchema,
} from "@bufbuild/protobuf/wkt";

type Shape<Kind> = { methodKind: Kind; input: typeof StringValueSchema; output: typeof StringValueSchema };

const streaming = { unary: [false, false], server: [false, true], client: [true, false], bidi: [true, true] } as const;
const type = `.${StringValueSchema.typeName}`;

const file = create(FileDescriptorProtoSchema, {
  name: "test/kinds.proto",
  package: "test",
  syntax: "proto3",
  dependency: [file_google_protobuf_wrappers.proto.name],
  service: [
    {
      name: "Kinds",
      method: Object.entries(streaming).map(([name, [clientStreaming, serverStreaming]]) => ({
        name,
        ...{ inputType: type, outputType: type, clientStreaming, serverStreaming },
        ...(name === "unary" && { options: { idempotencyLevel: MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS } }),
      })),
    },
  ],
});

const registry = createFileRegistry(file, () => file_google_protobuf_wrappers);

/** A service with a method of each kind, all of them from strings to strings. `unary` may be called with GET. */
export const Kinds = registry.getService("test.Kinds") as GenService<{
  unary: Shape<"unary">;
  server: Shape<"server_streaming">;
  client: Shape<"client_streaming">;
  bidi: Shape<"bidi_streaming">;
}>; // as the descriptor above says

export type Kind = keyof typeof streaming;

/** The path that calls a kind. */
export const pathOf = (kind: Kind) => `/test.Kinds/${kind}`;

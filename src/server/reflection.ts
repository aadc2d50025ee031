import {
  type DescExtension,
  type DescFile,
  type DescMessage,
  type DescService,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import type {
  ServerReflection,
  ServerReflectionRequest,
  ServerReflectionResponseSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.js";
import type { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { errorDetails } from "../core/index.ts";

/** The answer to one question, without the type name, so that both versions of the service can send it. */
type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"]>;
type Question = ServerReflectionRequest["messageRequest"];

/**
 * `grpc.reflection.v1` and `v1alpha` (gRPC server reflection protocol) over a set of services: lets grpcurl, `buf curl` and
 * others call without our files. The two versions differ in their package alone.
 *
 * @param services read with the first question.
 */
export function createReflection(services: () => readonly DescService[]): {
  v1: Partial<ServiceImpl<typeof ServerReflection>>;
  v1alpha: Partial<ServiceImpl<typeof ServerReflectionAlpha>>;
} {
  let index: ReturnType<typeof indexOf> | undefined;
  async function* answers<Request extends { host: string; messageRequest: Question }>(requests: AsyncIterable<Request>) {
    index ??= indexOf(services());
    for await (const request of requests) {
      yield { validHost: request.host, originalRequest: request, messageResponse: index.answer(request.messageRequest) };
    }
  }
  const implementation = { serverReflectionInfo: answers } as object; // one for both: their messages differ by type name alone
  return { v1: implementation, v1alpha: implementation };
}

function indexOf(services: readonly DescService[]) {
  const files = new Map<string, DescFile>();
  for (const service of services) collect(service.file, files);
  for (const detail of errorDetails) collect(detail.file, files); // no service imports them, but errors carry them
  const symbols = new Map<string, DescFile>();
  const extensions: DescExtension[] = [];
  for (const file of files.values()) addSymbols(file, symbols, extensions);

  const answer = (question: Question): Answer => {
    switch (question.case) {
      case "listServices":
        return { case: "listServicesResponse", value: { service: services.map((each) => ({ name: each.typeName })) } };
      case "fileByFilename":
        return withFile(files.get(question.value.replace(/\.proto$/, "")), `file "${question.value}"`);
      case "fileContainingSymbol":
        return withFile(symbols.get(question.value.replace(/^\./, "")), `symbol "${question.value}"`);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = question.value;
        const found = extensions.find((each) => each.number === extensionNumber && each.extendee.typeName === containingType);
        return withFile(found?.file, `extension ${extensionNumber} of "${containingType}"`);
      }
      case "allExtensionNumbersOfType": {
        const of = extensions.filter((each) => each.extendee.typeName === question.value);
        if (of.length === 0 && !symbols.has(question.value))
          return failure(Code.NotFound, `there is no type "${question.value}"`);
        const value = { baseTypeName: question.value, extensionNumber: of.map((each) => each.number) };
        return { case: "allExtensionNumbersResponse", value };
      }
      default:
        return failure(Code.InvalidArgument, "message_request is missing; ask for a file, a symbol or the services");
    }
  };
  return { answer };
}

function withFile(file: DescFile | undefined, what: string): Answer {
  if (file === undefined) return failure(Code.NotFound, `there is no ${what} here`);
  const files = new Map<string, DescFile>();
  collect(file, files);
  const fileDescriptorProto = [...files.values()].map((each) => toBinary(FileDescriptorProtoSchema, each.proto));
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
}

function failure(errorCode: Code, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}

/** The file, then everything it imports, each once. */
function collect(file: DescFile, into: Map<string, DescFile>): void {
  if (into.has(file.name)) return;
  into.set(file.name, file);
  for (const dependency of file.dependencies) collect(dependency, into);
}

function addSymbols(file: DescFile, symbols: Map<string, DescFile>, extensions: DescExtension[]): void {
  for (const type of nestedTypes(file)) {
    symbols.set(type.typeName, file);
    if (type.kind === "extension") extensions.push(type);
    else if (type.kind === "message") addMembers(type, symbols, file);
    else if (type.kind === "service") for (const method of type.methods) symbols.set(`${type.typeName}.${method.name}`, file);
  }
}

function addMembers(message: DescMessage, symbols: Map<string, DescFile>, file: DescFile): void {
  for (const member of [...message.fields, ...message.oneofs]) symbols.set(`${message.typeName}.${member.name}`, file);
}

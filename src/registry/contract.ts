import { createHash } from "node:crypto";
import {
  create,
  createFileRegistry,
  type DescFile,
  type DescService,
  type FileRegistry,
  fromBinary,
  toBinary,
} from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { type Contract, ContractSchema } from "../contract/index.ts";
import { invalidArgument, registryBounds } from "../core/index.ts";

/**
 * The contract of some services: the files that declare them and all that those import, each after what it imports, services by name. The
 * same services give the same bytes and the same hash in every process, in whatever order they are given.
 */
export function contractOf(services: readonly DescService[]): Contract {
  const files = new Map<string, FileDescriptorProto>();
  const collect = (file: DescFile) => {
    if (files.has(file.name)) return;
    for (const dependency of file.dependencies) collect(dependency);
    files.set(file.name, file.proto);
  };
  for (const { file } of services.toSorted((one, other) => (one.typeName < other.typeName ? -1 : 1))) collect(file);
  const descriptorSet = toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: [...files.values()] }));
  return create(ContractSchema, { descriptorSet, sha256: sha256Of(descriptorSet) });
}

/**
 * The services and messages of a contract that came from elsewhere.
 *
 * @throws ConnectError INVALID_ARGUMENT when it is too large, its hash is another one, or its bytes are no descriptor set.
 */
export function readContract({ descriptorSet, sha256 }: Contract): FileRegistry {
  const field = "contract.descriptor_set";
  const { maxContractBytes } = registryBounds;
  if (descriptorSet.byteLength > maxContractBytes) {
    throw invalidArgument([{ field, description: `has ${descriptorSet.byteLength} bytes; ${maxContractBytes} is the most` }]);
  }
  const actual = sha256Of(descriptorSet);
  if (actual !== sha256) {
    throw invalidArgument([{ field: "contract.sha256", description: `is not the hash of descriptor_set, which is ${actual}` }]);
  }
  try {
    return createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptorSet));
  } catch (cause) {
    const description = "is no google.protobuf.FileDescriptorSet with each file after those it imports";
    throw invalidArgument([{ field, description }], { cause });
  }
}

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

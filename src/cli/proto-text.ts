import {
  type DescEnum,
  type DescField,
  type DescFile,
  type DescMessage,
  type DescMethod,
  type DescService,
  ScalarType,
} from "@bufbuild/protobuf";
import { protoCamelCase } from "@bufbuild/protobuf/reflect";
import { Edition, MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";

/**
 * A file of a contract as it could have been written: text that compiles to the same messages and services, without comments, which
 * descriptors do not carry. Custom options and extensions are left out.
 */
export function protoText(file: DescFile): string {
  const { package: name } = file.proto;
  const blocks = [
    syntaxLine(file),
    ...(name === "" ? [] : [`package ${name};`]),
    ...(file.dependencies.length === 0 ? [] : [file.dependencies.map((each) => `import "${each.proto.name}";`).join("\n")]),
    ...file.services.map(serviceText),
    ...file.messages.map(messageText),
    ...file.enums.map(enumText),
  ];
  return `${blocks.join("\n\n")}\n`;
}

function syntaxLine({ edition }: DescFile): string {
  if (edition === Edition.EDITION_PROTO2) return 'syntax = "proto2";';
  if (edition === Edition.EDITION_PROTO3) return 'syntax = "proto3";';
  return `edition = "${Edition[edition]?.replace("EDITION_", "")}";`;
}

function serviceText(service: DescService): string {
  return block(`service ${service.name}`, service.methods.map(methodText));
}

function methodText(method: DescMethod): string {
  const { clientStreaming, serverStreaming } = method.proto;
  const input = `${clientStreaming ? "stream " : ""}${nameIn(method.parent.file, method.input.typeName)}`;
  const output = `${serverStreaming ? "stream " : ""}${nameIn(method.parent.file, method.output.typeName)}`;
  const head = `rpc ${method.name}(${input}) returns (${output})`;
  if (method.idempotency === MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN) return `${head};`;
  return block(head, [`option idempotency_level = ${MethodOptions_IdempotencyLevel[method.idempotency]};`]);
}

function messageText(message: DescMessage): string {
  const members = message.members.map((member) => {
    if (member.kind === "field") return fieldText(member);
    return block(`oneof ${member.name}`, member.fields.map(fieldText));
  });
  const { reservedRange, reservedName } = message.proto;
  // the end of a message's range is one beyond it
  const numbers = reservedRange.map(({ start, end }) => rangeText(start, end - 1));
  return block(`message ${message.name}`, [
    ...reservedText(numbers, reservedName),
    ...message.nestedEnums.map(enumText),
    ...message.nestedMessages.map(messageText),
    ...members,
  ]);
}

function enumText(enumeration: DescEnum): string {
  const { reservedRange, reservedName, options } = enumeration.proto;
  const numbers = reservedRange.map(({ start, end }) => rangeText(start, end));
  return block(`enum ${enumeration.name}`, [
    ...(options?.allowAlias ? ["option allow_alias = true;"] : []),
    ...reservedText(numbers, reservedName),
    ...enumeration.values.map(
      ({ name, number, deprecated }) => `${name} = ${number}${deprecated ? " [deprecated = true]" : ""};`,
    ),
  ]);
}

function fieldText(field: DescField): string {
  const options = [
    ...(field.jsonName === protoCamelCase(field.name) ? [] : [`json_name = "${field.jsonName}"`]),
    ...(field.deprecated ? ["deprecated = true"] : []),
  ];
  const end = options.length === 0 ? "" : ` [${options.join(", ")}]`;
  return `${labelOf(field)}${typeOf(field)} ${field.name} = ${field.number}${end};`;
}

/** The labels of `FieldDescriptorProto.Label` that proto2 writes. */
const requiredLabel = 2;

function labelOf(field: DescField): string {
  if (field.fieldKind === "list") return "repeated ";
  if (field.fieldKind === "map" || field.oneof !== undefined) return "";
  if (field.proto.proto3Optional) return "optional ";
  if (field.parent.file.edition !== Edition.EDITION_PROTO2) return "";
  return field.proto.label === requiredLabel ? "required " : "optional ";
}

function typeOf(field: DescField): string {
  if (field.fieldKind !== "map") return elementOf(field);
  return `map<${ScalarType[field.mapKey].toLowerCase()}, ${elementOf(field)}>`;
}

function elementOf({ parent, scalar, message, enum: enumeration }: DescField): string {
  if (scalar !== undefined) return ScalarType[scalar].toLowerCase();
  return nameIn(parent.file, message?.typeName ?? enumeration?.typeName ?? "");
}

/** A type's name as a file writes it: without the package when it is the file's own. */
function nameIn(file: DescFile, typeName: string): string {
  const prefix = `${file.proto.package}.`;
  return typeName.startsWith(prefix) ? typeName.slice(prefix.length) : typeName;
}

/** The largest number of a field, which is written as `max`. */
const maxNumbers = [0x1fff_ffff, 0x7fff_ffff];

function rangeText(first: number, last: number): string {
  if (first === last) return String(first);
  return `${first} to ${maxNumbers.includes(last) ? "max" : last}`;
}

function reservedText(numbers: readonly string[], names: readonly string[]): string[] {
  return [
    ...(numbers.length === 0 ? [] : [`reserved ${numbers.join(", ")};`]),
    ...(names.length === 0 ? [] : [`reserved ${names.map((name) => JSON.stringify(name)).join(", ")};`]),
  ];
}

function block(head: string, lines: readonly string[]): string {
  if (lines.length === 0) return `${head} {}`;
  const body = lines.map((line) => line.replace(/^(?=.)/gm, "  ")).join("\n");
  return `${head} {\n${body}\n}`;
}

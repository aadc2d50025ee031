import { create, createFileRegistry, type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import {
  Edition,
  type FieldDescriptorProto,
  FieldDescriptorProtoSchema,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  file_google_protobuf_struct,
  file_google_protobuf_wrappers,
  FieldDescriptorProto_Label as Label,
  FeatureSet_MessageEncoding as MessageEncoding,
  FeatureSet_FieldPresence as Presence,
  FeatureSet_RepeatedFieldEncoding as RepeatedEncoding,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import { bytesOf, type Random } from "./random.ts";

const scalarTypes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 15, 16, 17, 18] satisfies Type[];
const [packed, expanded] = [RepeatedEncoding.PACKED, RepeatedEncoding.EXPANDED];

/** `test.Every`, with a field of each type in each way that a field can be, and `test.Odd`, with those that are rare. */
export const { Every, Odd } = createTypes();

function createTypes() {
  const names = new Map<string, number>();
  const of = (type: Type): Partial<FieldDescriptorProto> => ({
    type,
    typeName: type === Type.ENUM ? ".test.Color" : type === Type.MESSAGE ? ".test.Every" : "",
    label: Label.OPTIONAL,
  });
  const field = (name: string, init: Partial<FieldDescriptorProto>, features = {}) => {
    const number = names.size < 15 ? names.size + 1 : names.size * 40; // tags of one, two and three bytes
    names.set(name, number);
    return create(FieldDescriptorProtoSchema, { name, number, options: { features }, ...init } as never);
  };
  const types = [...scalarTypes, Type.ENUM, Type.MESSAGE];
  const entries = types.map((type) => ({
    name: `Map${type}Entry`,
    options: { mapEntry: true },
    field: [
      create(FieldDescriptorProtoSchema, { name: "key", number: 1, type: Type.STRING, label: Label.OPTIONAL }),
      create(FieldDescriptorProtoSchema, { name: "value", number: 2, ...of(type) } as never),
    ],
  }));
  const fields = types.flatMap((type) => {
    const repeated = { ...of(type), label: Label.REPEATED };
    const packable = ![Type.STRING, Type.BYTES, Type.MESSAGE].includes(type);
    return [
      ...(type === Type.MESSAGE ? [] : [field(`implicit${type}`, of(type), { fieldPresence: Presence.IMPLICIT })]),
      field(`explicit${type}`, of(type)),
      field(`expanded${type}`, repeated, { repeatedFieldEncoding: expanded }),
      ...(packable ? [field(`packed${type}`, repeated, { repeatedFieldEncoding: packed })] : []),
      field(`choice${type}`, { ...of(type), oneofIndex: 0 }),
      field(`map${type}`, { type: Type.MESSAGE, typeName: `.test.Every.Map${type}Entry`, label: Label.REPEATED }),
    ];
  });
  const wrapper = { ...of(Type.MESSAGE), typeName: ".google.protobuf.StringValue" };
  const odd = [
    field("group", of(Type.MESSAGE), { messageEncoding: MessageEncoding.DELIMITED }),
    field("required", of(Type.STRING), { fieldPresence: Presence.LEGACY_REQUIRED }),
    field("wrapper", wrapper),
    field("struct", { ...of(Type.MESSAGE), typeName: ".google.protobuf.Struct" }),
    field("by_number", { type: Type.MESSAGE, typeName: ".test.Odd.ByNumberEntry", label: Label.REPEATED }),
  ];
  const byNumber = [
    create(FieldDescriptorProtoSchema, { name: "key", number: 1, type: Type.INT32, label: Label.OPTIONAL }),
    create(FieldDescriptorProtoSchema, { name: "value", number: 2, type: Type.STRING, label: Label.OPTIONAL }),
  ];
  const file = create(FileDescriptorProtoSchema, {
    name: "test/every.proto",
    package: "test",
    syntax: "editions",
    edition: Edition.EDITION_2023,
    dependency: ["google/protobuf/struct.proto", "google/protobuf/wrappers.proto"],
    enumType: [{ name: "Color", value: [-1, 0, 1, 300].map((number) => ({ name: `COLOR_${number + 1}`, number })) }],
    messageType: [
      { name: "Every", field: fields, nestedType: entries, oneofDecl: [{ name: "choice" }] },
      { name: "Odd", field: odd, nestedType: [{ name: "ByNumberEntry", options: { mapEntry: true }, field: byNumber }] },
    ],
  });
  const files = [file_google_protobuf_struct, file_google_protobuf_wrappers].map((each) => each.proto);
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [...files, file] }));
  const [every, odds] = ["test.Every", "test.Odd"].map((name) => registry.getMessage(name));
  if (every === undefined || odds === undefined) throw new Error("the types were not made");
  return { Every: every, Odd: odds };
}

const texts = ["", "a", "Grüße", "日本語", "🗓️", "\0"].concat(
  [31, 32, 33, 42, 43, 127, 128, 5_461, 5_462].flatMap((length) => ["x".repeat(length), "é".repeat(length)]),
);
const ints = [0, 1, 127, 128, 16_383, 16_384, 0x0fff_ffff, 0x1000_0000, 0x7fff_ffff];
const bigs = [0n, 1n, 127n, 128n, 0x7fff_ffffn, 0xffff_ffffn, 0x1_0000_0000n, 1n << 35n, 1n << 56n, (1n << 63n) - 1n];
const floats = [0, -0, 1, -1.5, 3.4028234663852886e38, Number.NaN, Number.POSITIVE_INFINITY];

/** A message of any type, with values at the edges, a third of its fields set and messages in it `depth` deep. */
export function randomMessage(desc: DescMessage, random: Random, depth: number): Message {
  const message = reflect(desc);
  for (const field of desc.fields) {
    const required = field.presence === Presence.LEGACY_REQUIRED && field.message === undefined;
    if (!required && (random(3) > 0 || (field.message !== undefined && depth === 0))) continue;
    const value = () => randomValue(field, random, depth - 1);
    const count = 1 + random(3);
    if (field.fieldKind === "list") {
      for (let index = 0; index < count; index++) message.get(field).add(value());
    } else if (field.fieldKind === "map") {
      const key = () => (field.mapKey === ScalarType.STRING ? (texts[random(texts.length)] ?? "") : random(9));
      for (let index = 0; index < count; index++) message.get(field).set(key(), value());
    } else message.set(field, value());
  }
  return message.message;
}

function randomValue(field: DescField, random: Random, depth: number) {
  if (field.message !== undefined) return reflect(field.message, randomMessage(field.message, random, depth));
  if (field.enum !== undefined) return field.enum.values[random(field.enum.values.length)]?.number ?? 0;
  const sign = random(2);
  const [int, big] = [ints[random(ints.length)] ?? 0, bigs[random(bigs.length)] ?? 0n];
  switch (field.scalar) {
    case ScalarType.STRING:
      return texts[random(texts.length)] ?? "";
    case ScalarType.BYTES:
      return new Uint8Array(bytesOf(random, 300));
    case ScalarType.BOOL:
      return sign === 1;
    case ScalarType.FLOAT:
    case ScalarType.DOUBLE:
      return floats[random(floats.length)] ?? 0;
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return int + sign * 0x8000_0000;
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return sign === 1 ? big + (1n << 63n) : big;
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return sign === 1 ? -big - 1n : big;
    default:
      return sign === 1 ? -int - 1 : int;
  }
}

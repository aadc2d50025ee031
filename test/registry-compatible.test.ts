import { create, createFileRegistry, type DescService, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import { AgentService } from "../src/contract/index.ts";
import { contractDifferences, contractOf, readContract } from "../src/registry/index.ts";

type FileInit = Exclude<MessageInitShape<typeof FileDescriptorProtoSchema>, { $typeName: string }>;

/** `test.Shop` as its caller knows it. Made anew each time, to be changed. */
function shop() {
  type More = { typeName?: string; oneofIndex?: number; label?: Label };
  type Field = More & { name: string; number: number; type: Type; label: Label; jsonName: string };
  const field = (name: string, number: number, type: Type, more: More = {}): Field => ({
    ...{ name, number, type, label: Label.OPTIONAL, jsonName: name },
    ...more,
  });
  const message = (name: string, ...fields: ReturnType<typeof field>[]) => ({
    name,
    field: fields,
    oneofDecl: [{ name: "way" }],
  });
  const types = {
    order: message(
      "Order",
      field("id", 1, Type.STRING),
      field("count", 2, Type.INT32),
      field("size", 3, Type.ENUM, { typeName: ".test.Size" }),
      field("parts", 4, Type.MESSAGE, { typeName: ".test.Order", label: Label.REPEATED }), // holds itself
      field("post", 5, Type.STRING, { oneofIndex: 0 }),
      field("courier", 6, Type.STRING, { oneofIndex: 0 }),
    ),
    receipt: message(
      "Receipt",
      field("total", 1, Type.INT64, { oneofIndex: 0 }),
      field("size", 2, Type.ENUM, { typeName: ".test.Size" }),
    ),
    other: message("Other", field("id", 1, Type.STRING, { oneofIndex: 0 })),
    size: {
      name: "Size",
      value: [
        ["SMALL", 0],
        ["LARGE", 1],
      ].map(([name, number]) => ({ name: `${name}`, number: Number(number) })),
    },
    buy: { name: "Buy", inputType: ".test.Order", outputType: ".test.Receipt", clientStreaming: false, serverStreaming: false },
    look: { name: "Look", inputType: ".test.Receipt", outputType: ".test.Receipt" },
  };
  return types;
}

type Shop = ReturnType<typeof shop>;

function build({ order, receipt, other, size, buy, look }: Shop): DescService {
  const file: FileInit = {
    name: "test/shop.proto",
    package: "test",
    syntax: "proto3",
    messageType: [order, receipt, other],
    enumType: [size],
    service: [{ name: "Shop", method: [buy, look].filter(({ name }) => name !== "") }],
  };
  const files = createFileRegistry(create(FileDescriptorSetSchema, { file: [create(FileDescriptorProtoSchema, file)] }));
  const service = files.getService("test.Shop");
  if (service === undefined) throw new Error("the descriptor has the service");
  return service;
}

/** What a caller that knows the shop as it was finds different in a changed one. */
function differencesAfter(change: (shop: Shop) => void, methods?: string[]): string[] {
  const theirs = shop();
  change(theirs);
  const endpoint = readContract(contractOf([build(theirs)]));
  return contractDifferences(build(shop()), endpoint, methods).map(({ path, problem }) => `${path} ${problem}`);
}

const fieldOf = (message: Shop["order"], name: string) => {
  const field = message.field.find((each) => each.name === name);
  if (field === undefined) throw new Error(`there is no field ${name}`);
  return field;
};
const without = (message: Shop["order"], name: string) => {
  message.field = message.field.filter((each) => each.name !== name);
};

describe("evolution that is none of the caller's business:", () => {
  test.each<[what: string, change: (shop: Shop) => void]>([
    ["nothing", () => {}],
    ["a new field", ({ order }) => order.field.push({ ...fieldOf(order, "id"), name: "note", jsonName: "note", number: 9 })],
    ["a new enum value", ({ size }) => size.value.push({ name: "HUGE", number: 2 })],
    ["a message that no method uses", ({ other }) => without(other, "id")],
    ["fields in another order", ({ order }) => order.field.reverse()],
    [
      "presence",
      ({ order }) =>
        Object.assign(fieldOf(order, "count"), { oneofIndex: 1, proto3Optional: true }) &&
        order.oneofDecl.push({ name: "_count" }),
    ],
  ])("%s", (_, change) => {
    expect(differencesAfter(change)).toEqual([]);
  });
});

describe("what the caller uses and the endpoint has otherwise is named:", () => {
  test.each<[what: string, change: (shop: Shop) => void, differences: string[]]>([
    ["a method is missing", ({ buy }) => edit(buy, { name: "" }), ["test.Shop.Buy is missing"]],
    [
      "a method streams",
      ({ buy }) => edit(buy, { serverStreaming: true }),
      ["test.Shop.Buy is server streaming and not unary"],
    ],
    [
      "a request is another",
      ({ look }) => edit(look, { inputType: ".test.Other" }),
      ["test.Shop.Look (request) is test.Other and not test.Receipt"],
    ],
    [
      "a response is another",
      ({ buy }) => edit(buy, { outputType: ".test.Other" }),
      ["test.Shop.Buy (response) is test.Other and not test.Receipt"],
    ],
    ["a field is missing", ({ order }) => without(order, "count"), ["test.Order.count is missing"]],
    [
      "a field has another type",
      ({ order }) => edit(fieldOf(order, "count"), { type: Type.STRING }),
      ["test.Order.count is string and not int32"],
    ],
    [
      "a field holds many",
      ({ order }) => edit(fieldOf(order, "id"), { label: Label.REPEATED }),
      ["test.Order.id is repeated string and not string"],
    ],
    [
      "a field holds another message",
      ({ order }) => edit(fieldOf(order, "parts"), { typeName: ".test.Other" }),
      ["test.Order.parts is repeated test.Other and not repeated test.Order"],
    ],
    ["a field has another number", ({ order }) => edit(fieldOf(order, "id"), { number: 8 }), ["test.Order.id is missing"]],
    [
      "a field is renamed",
      ({ order }) => edit(fieldOf(order, "id"), { name: "key" }),
      ["test.Order.id is named key and not named id"],
    ],
    [
      "a field is renamed in JSON",
      ({ order }) => edit(fieldOf(order, "id"), { jsonName: "ID" }),
      ["test.Order.id is named ID in JSON and not named id in JSON"],
    ],
    [
      "a field leaves its oneof",
      ({ order }) => void delete fieldOf(order, "post").oneofIndex,
      ["test.Order.post is in no oneof and not in oneof way"],
    ],
    ["an enum value that can be sent is missing", ({ size }) => void size.value.pop(), ["test.Size.LARGE is missing"]],
    [
      "an enum value is renamed",
      ({ size }) => edit(size.value[1], { name: "BIG" }),
      ["test.Size.LARGE is named BIG and not named LARGE"],
    ],
    [
      "several things",
      ({ order, receipt }) => {
        without(order, "count");
        without(receipt, "size");
      },
      ["test.Order.count is missing", "test.Receipt.size is missing"],
    ],
  ])("%s", (_, change, differences) => {
    expect(differencesAfter(change)).toEqual(differences);
  });

  test("the service itself", () => {
    const endpoint = readContract(contractOf([build(shop())]));
    expect(contractDifferences(AgentService, endpoint)).toEqual([{ path: "agent.v1.AgentService", problem: "is missing" }]);
  });
});

test("only the methods that the caller uses count", () => {
  expect(differencesAfter(({ order }) => without(order, "id"), ["Look"])).toEqual([]);
});

test("an enum value that only comes back may be missing", () => {
  const onlyBack = ({ size, buy, look }: Shop) => {
    edit(buy, { inputType: ".test.Other" });
    edit(look, { inputType: ".test.Other" });
    size.value.pop();
  };
  const [mine, theirs] = [shop(), shop()];
  for (const method of [mine.buy, mine.look]) edit(method, { inputType: ".test.Other" });
  onlyBack(theirs);
  expect(contractDifferences(build(mine), readContract(contractOf([build(theirs)])))).toEqual([]);
});

test("our own contract fits itself, out of its bytes", () => {
  const contract = contractOf([AgentService]);
  expect(fromBinary(FileDescriptorSetSchema, contract.descriptorSet).file.map(({ name }) => name)).toContain(
    "agent/v1/agent.proto",
  );
  expect(contractDifferences(AgentService, readContract(contract))).toEqual([]);
});

function edit<T extends object>(value: T | undefined, changes: { readonly [Name in keyof T]?: T[Name] | undefined }): void {
  Object.assign(value ?? {}, changes);
}

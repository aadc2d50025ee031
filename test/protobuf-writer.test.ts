import { create, type DescMessage, type Message, toBinary } from "@bufbuild/protobuf";
import { DescriptorProtoSchema, ValueSchema } from "@bufbuild/protobuf/wkt";
import { ConverseRequestSchema, RegisterRequestSchema, TaskResponseSchema } from "../src/contract/index.ts";
import { writeMessage, writePlain } from "../src/wire/protobuf/write.ts";
import { Every, Odd, randomMessage } from "./support/every-message.ts";
import { createRandom, seed } from "./support/random.ts";

const random = createRandom(seed);

describe(`what protobuf-es writes, byte for byte (SEED=${seed})`, () => {
  test.each<[string, DescMessage, number]>([
    ["a field of every type in every way", Every, 500],
    ["a type that holds itself in lists and maps", ValueSchema, 300],
    ["a type of proto2", DescriptorProtoSchema, 300],
    ["a registration", RegisterRequestSchema, 300],
    ["a turn", ConverseRequestSchema, 300],
    ["an answer", TaskResponseSchema, 300],
  ])("%s", (_, desc, count) => {
    for (let index = 0; index < count; index++) {
      const message = randomMessage(desc, random, 2);
      expect(hex(writePlain(desc, message))).toBe(hex(toBinary(desc, message)));
    }
  });

  test("texts of megabytes, texts after them, and texts that are no UTF-16", () => {
    for (const content of ["x".repeat(1 << 20), "after", "日".repeat(1 << 20), "half a pair: \ud83d", "\udd00".repeat(50)]) {
      const message = create(TaskResponseSchema, { content });
      expect(hex(writePlain(TaskResponseSchema, message))).toBe(hex(toBinary(TaskResponseSchema, message)));
    }
  });

  test("messages that are written later leave those before as they are", () => {
    const contents = Array.from({ length: 1_000 }, (_, index) => `${index} `.repeat(index % 50));
    const written = contents.map((content) => writePlain(TaskResponseSchema, create(TaskResponseSchema, { content })));
    expect(written.map(hex)).toEqual(
      contents.map((content) => hex(toBinary(TaskResponseSchema, create(TaskResponseSchema, { content })))),
    );
  });
});

describe("what is rare is left to protobuf-es", () => {
  test(`groups, required fields, wrappers, Structs and maps by number (SEED=${seed})`, () => {
    for (let index = 0; index < 500; index++) {
      const message = randomMessage(Odd, random, 2);
      expect(outcome(() => writeMessage(Odd, message))).toEqual(outcome(() => toBinary(Odd, message)));
    }
  });

  const unknown = { ...create(TaskResponseSchema), $unknown: [{ no: 1_000, wireType: 0, data: new Uint8Array([5]) }] };

  test.each<[string, DescMessage, object]>([
    ["unknown fields", TaskResponseSchema, unknown],
    ["a message of another type", TaskResponseSchema, create(ConverseRequestSchema)],
    ["a number in the place of a text", TaskResponseSchema, { ...create(TaskResponseSchema), content: 5 }],
    ["a text in the place of a number", Every, { ...create(Every), implicit5: "5" }],
    ["a text in the place of a 64-bit number", Every, { ...create(Every), explicit3: "-5" }],
    ["a number in the place of a truth", Every, { ...create(Every), implicit8: 1 }],
    ["a fraction in the place of a whole number", Every, { ...create(Every), implicit13: 0.5 }],
    ["a number that is too large", Every, { ...create(Every), packed17: [1, 0x8000_0000] }],
    ["a number below 0 that cannot be", Every, { ...create(Every), explicit4: -1n }],
    ["a float that is too large", Every, { ...create(Every), implicit2: 1e39 }],
    ["a text in the place of bytes", Every, { ...create(Every), implicit12: "text" }],
    ["no list", Every, { ...create(Every), expanded9: undefined }],
    ["no map", Every, { ...create(Every), map9: undefined }],
    ["no oneof", Every, { ...create(Every), choice: undefined }],
  ])("%s", (_, desc, message) => {
    const each = message as Message; // so they say
    expect(writePlain(desc, each)).toBeUndefined();
    expect(outcome(() => writeMessage(desc, each))).toEqual(outcome(() => toBinary(desc, each)));
    expect(outcome(() => writeMessage(desc, each, { writeUnknownFields: false }))).toEqual(
      outcome(() => toBinary(desc, each, { writeUnknownFields: false })),
    );
  });

  test("a message that is written while another one is", () => {
    const inner = create(TaskResponseSchema, { content: "inner" });
    const outer = create(TaskResponseSchema);
    Object.defineProperty(outer, "content", { get: () => hex(writeMessage(TaskResponseSchema, inner)), enumerable: true });
    expect(hex(writeMessage(TaskResponseSchema, outer))).toBe(hex(toBinary(TaskResponseSchema, outer)));
  });
});

function outcome(write: () => Uint8Array): unknown {
  try {
    return hex(write());
  } catch (thrown) {
    return thrown;
  }
}

function hex(bytes: Uint8Array | undefined): string | undefined {
  return bytes && Buffer.from(bytes).toString("hex");
}

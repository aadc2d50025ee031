import { create, toBinary } from "@bufbuild/protobuf";
import { type ConnectRouter, createClient } from "@connectrpc/connect";
import { AgentService, TaskLogEntrySchema, TaskResponseSchema, TokenChunkSchema } from "../src/contract/index.ts";
import { writeSteps } from "../src/task/entries.ts";
import { writeTaskId, writeTextChunk } from "../src/task/text-forms.ts";
import { createListener, createRpcHandler, createTransport, withBinaryForm } from "../src/wire/index.ts";

const texts = ["", "a", " Tuesday", "Grüße", "日本語", "🗓️", "a lone \ud83d surrogate", "\0"].concat(
  [31, 32, 33, 127, 128, 16_383, 16_384, 100_000].flatMap((length) => ["x".repeat(length), "é".repeat(length)]),
);
const numbers = [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455, 268_435_456, 0x7fff_ffff];

describe("texts are written as protobuf-es writes them", () => {
  test.each([...numbers, 0xffff_ffff])("in the log of a task, after %d ms", (elapsedMs) => {
    const written = writeSteps(
      texts.map((event) => ({ event, elapsedMs })),
      "",
    );
    const expected = texts.map((value) =>
      toBinary(TaskLogEntrySchema, create(TaskLogEntrySchema, { elapsedMs, step: { case: "text", value } })),
    );
    expect(written.map(hex)).toEqual(expected.map(hex));
  });

  test("with its server in the first entry of the log that the server appends", () => {
    const written = writeSteps(
      ["one", "two"].map((event) => ({ event, elapsedMs: 5 })),
      "runner",
    );
    const expected = [
      { runner: "runner", elapsedMs: 5, step: { case: "text", value: "one" } },
      { elapsedMs: 5, step: { case: "text", value: "two" } },
    ] as const;
    expect(written.map(hex)).toEqual(
      expected.map((init) => hex(toBinary(TaskLogEntrySchema, create(TaskLogEntrySchema, init)))),
    );
  });

  test.each(numbers)("in chunk %d", (index) => {
    for (const taskId of ["4f1c1d1e-6a53-4c9d-9f6e-0c5d7a1b2c3d", "é".repeat(100)]) {
      for (const text of texts) {
        for (const elapsedMs of [undefined, 0, index, 0xffff_ffff]) {
          const chunk = create(TokenChunkSchema, { taskId, text, index, ...(elapsedMs !== undefined && { elapsedMs }) });
          const written = writeTextChunk(writeTaskId(taskId), { text, index, elapsedMs });
          expect(hex(written)).toBe(hex(toBinary(TokenChunkSchema, chunk)));
        }
      }
    }
  });
});

test("a message's binary form is sent in its place, and not in the place of a copy that was changed", async () => {
  const message = create(TaskResponseSchema, { content: "as an object" });
  const form = toBinary(TaskResponseSchema, create(TaskResponseSchema, { content: "as bytes" }));
  const known = withBinaryForm(message, form);
  const answers = { message: known, copy: { ...known, content: "of the copy" } };
  const routes = (router: ConnectRouter) =>
    void router.service(AgentService, { processTask: ({ content }) => answers[content as keyof typeof answers] }); // asked below
  const listener = createListener({ onRequest: createRpcHandler({ routes }).handle });
  const { port } = await listener.listen("127.0.0.1", 0);
  const ask = async (content: string, codec: "proto" | "json") => {
    const transport = createTransport({ baseUrl: `http://127.0.0.1:${port}`, protocol: "connect", codec });
    const answer = await createClient(AgentService, transport).processTask({ content });
    transport.close();
    return answer.content;
  };
  try {
    expect(await ask("message", "proto")).toBe("as bytes");
    expect(await ask("message", "json")).toBe("as an object");
    expect(await ask("copy", "proto")).toBe("of the copy");
  } finally {
    await listener.close();
  }
});

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

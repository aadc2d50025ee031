import { fromBinary } from "@bufbuild/protobuf";
import { jest } from "@jest/globals";
import { TaskLogEntrySchema } from "../src/contract/index.ts";
import { createMemoryStore, defineAgent } from "../src/index.ts";
import { startClient } from "./support/server.ts";

test("what happens after a clock was set back is kept as if no time had passed", async () => {
  const setBack = defineAgent({
    name: "set-back",
    async *run() {
      const clock = jest.spyOn(Date, "now").mockReturnValue(Date.now() - 60_000);
      yield "after";
      clock.mockRestore();
    },
  });
  const store = createMemoryStore();
  const agents = await startClient({ agents: [setBack], store });
  await agents.process("which time is it?");
  const [log] = await store.logs("task/");
  const entries = [];
  for await (const bytes of store.read(log?.name ?? "", 1)) entries.push(fromBinary(TaskLogEntrySchema, bytes));
  expect(entries).toMatchObject([{ elapsedMs: 0, step: { case: "text", value: "after" } }, { step: { case: "finish" } }]);
});

import { Code, ConnectError, defineAgent } from "../src/index.ts";
import { serve, task } from "./support/kept-tasks.ts";
import { newPath, openStore } from "./support/sqlite.ts";

test("what a task failed with is its end at every server: nobody asks again", async () => {
  const failing = defineAgent({
    name: "failing",
    async *run() {
      yield "before ";
      throw new ConnectError("the calendar is away", Code.Unavailable);
    },
  });
  const path = newPath();
  for (const agents of [await serve(failing, await openStore({ path })), await serve(failing, await openStore({ path }))]) {
    let resumed = 0;
    const onResume = () => void resumed++;
    const read = async () => {
      for await (const { text } of agents.stream(task, { onResume })) expect(text).toBe("before ");
    };
    await expect(read()).rejects.toMatchObject({ code: Code.Unavailable, rawMessage: "the calendar is away" });
    expect(resumed).toBe(0);
  }
});

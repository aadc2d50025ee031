import { Code, ConnectError } from "@connectrpc/connect";
import { type Chat, type ServeOptions, Status } from "../src/index.ts";
import { createGate } from "./support/agents.ts";
import { startClient as startClientWith } from "./support/server.ts";
import { taskPlaces } from "./support/task-places.ts";

describe.each(taskPlaces)("in %s", (_place, open) => {
  const startClient = async (options: Partial<ServeOptions> = {}) => startClientWith({ ...(await open()), ...options });

  /** Reads a conversation to its end: each turn's text and how it finished. */
  async function readTurns(chat: Chat, onFinished: (status: Status) => void = () => {}) {
    const turns = new Map<string, { text: string; statuses: Status[]; indexes: number[] }>();
    for await (const { taskId, index, event } of chat) {
      const turn = turns.get(taskId) ?? { text: "", statuses: [], indexes: [] };
      turns.set(taskId, turn);
      turn.indexes.push(index);
      if (event.case === "text") turn.text += event.value;
      if (event.case !== "turnFinished") continue;
      turn.statuses.push(event.value.status);
      onFinished(event.value.status);
    }
    return [...turns].map(([taskId, turn]) => ({ taskId, ...turn }));
  }

  async function failure(reading: Promise<unknown>): Promise<ConnectError> {
    return reading.then(
      () => Promise.reject(new Error("the conversation ended well")),
      (thrown: unknown) => ConnectError.from(thrown),
    );
  }

  test("turns run in order, each with the turns before it, and the stream ends after the last", async () => {
    const chat = (await startClient()).agent("remembering").converse();
    const ids = ["one", "two"].map((content) => chat.send(content));
    chat.end();
    const turns = await readTurns(chat);
    expect(turns.map((turn) => turn.taskId)).toEqual(ids);
    expect(turns.map((turn) => turn.text)).toEqual(["0 before: ", "1 before: one=0 before: "]);
    expect(turns.map((turn) => turn.statuses)).toEqual([[Status.COMPLETED], [Status.COMPLETED]]);
    expect(turns[0]?.indexes).toEqual([0, 1]);
  });

  test("a conversation id goes on with the turns of another call", async () => {
    const agents = (await startClient()).agent("remembering");
    await agents.process({ content: "before", conversationId: "c-1" });
    const chat = agents.converse({ conversationId: "c-1" });
    chat.send("now");
    chat.end();
    expect((await readTurns(chat))[0]?.text).toBe("1 before: before=0 before: ");
  });

  test("a turn that fails ends itself, with its reason, and the next one runs", async () => {
    const chat = (await startClient()).agent("failing").converse();
    chat.send("typed");
    chat.send("crash");
    chat.end();
    const reasons: [number | undefined, string | undefined][] = [];
    for await (const { event } of chat) {
      if (event.case === "turnFinished") reasons.push([event.value.error?.code, event.value.error?.message]);
    }
    expect(reasons).toEqual([
      [Code.FailedPrecondition, "the calendar is read-only"],
      [Code.Internal, 'agent "failing" failed in an unforeseen way'],
    ]);
  });

  test("a turn whose task id is taken by another request ends itself, and the next one runs", async () => {
    const chat = (await startClient()).converse();
    chat.send({ taskId: "taken", content: "one" });
    chat.send({ taskId: "taken", content: "two" });
    chat.send("three");
    chat.end();
    const finished: [status: Status, code: number | undefined][] = [];
    for await (const { event } of chat) {
      if (event.case === "turnFinished") finished.push([event.value.status, event.value.error?.code]);
    }
    expect(finished).toEqual([
      [Status.COMPLETED, undefined],
      [Status.ERROR, Code.AlreadyExists],
      [Status.COMPLETED, undefined],
    ]);
  });

  test("a tool result lets the waiting turn go on, in one numbering", async () => {
    const chat = (await startClient()).agent("asking").converse();
    chat.send({ content: "Berlin", availableTools: [{ name: "clock" }] });
    const turns = await readTurns(chat, (status) => {
      if (status === Status.REQUIRES_TOOL_CALL) chat.toolResult({ callId: "call-1", resultJson: '"noon"' });
      else chat.end();
    });
    expect(turns).toMatchObject([
      { text: 'it is "noon"', statuses: [Status.REQUIRES_TOOL_CALL, Status.COMPLETED], indexes: [0, 1, 2, 3, 4] },
    ]);
  });

  test("a waiting turn can be cancelled instead", async () => {
    const chat = (await startClient()).agent("asking").converse();
    chat.send({ content: "Berlin", availableTools: [{ name: "clock" }] });
    const turns = await readTurns(chat, (status) => {
      if (status === Status.REQUIRES_TOOL_CALL) chat.cancelTurn();
      else chat.end();
    });
    expect(turns[0]?.statuses).toEqual([Status.REQUIRES_TOOL_CALL, Status.CANCELLED]);
  });

  test("cancelling stops the running turn and those that wait, and the conversation goes on", async () => {
    const gate = createGate();
    const agents = await startClient({ agents: [gate.agent] });
    const chat = agents.converse();
    chat.send("one");
    chat.send("two");
    let finished = 0;
    const reading = readTurns(chat, () => {
      finished++;
      if (finished === 2) {
        gate.open();
        chat.send("three");
        chat.end();
      }
    });
    await gate.running;
    chat.cancelTurn();
    expect((await reading).map((turn) => [turn.text, turn.statuses])).toEqual([
      ["first", [Status.CANCELLED]],
      ["", [Status.CANCELLED]],
      ["first second", [Status.COMPLETED]],
    ]);
  });

  test("leaving the conversation stops the running turn", async () => {
    const gate = createGate();
    const chat = (await startClient({ agents: [gate.agent] })).converse();
    chat.send("one");
    for await (const { event } of chat) if (event.case === "text") break;
    expect(await gate.stopped).toMatchObject({ code: Code.Canceled });
  });

  test.each([
    ["an unknown agent", { agent: "nobody" }, "hi", Code.NotFound],
    ["a turn without content", {}, "  ", Code.InvalidArgument],
    ["a malformed conversation id", { conversationId: "with space" }, "hi", Code.InvalidArgument],
  ])("%s ends the conversation with its code", async (_what, options, content, code) => {
    const chat = (await startClient()).converse(options);
    chat.send(content);
    expect((await failure(readTurns(chat))).code).toBe(code);
  });

  test("a result that nobody awaits is FAILED_PRECONDITION", async () => {
    const chat = (await startClient()).converse();
    chat.toolResult({ callId: "c", resultJson: "1" });
    expect((await failure(readTurns(chat))).code).toBe(Code.FailedPrecondition);
  });

  test("too many waiting turns are RESOURCE_EXHAUSTED", async () => {
    const gate = createGate();
    const chat = (await startClient({ agents: [gate.agent], limits: { maxQueuedTurns: 2 } })).converse();
    const reading = failure(readTurns(chat));
    chat.send("runs");
    await gate.running;
    for (const content of ["waits", "waits", "too many"]) chat.send(content);
    expect((await reading).code).toBe(Code.ResourceExhausted);
    expect(await gate.stopped).toMatchObject({ code: Code.Canceled });
  });

  test("an empty conversation ends well", async () => {
    const chat = (await startClient()).converse();
    chat.end();
    expect(await readTurns(chat)).toEqual([]);
  });
});

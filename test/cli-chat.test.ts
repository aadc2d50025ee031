import { once } from "node:events";
import { createServer as createHttp2Server } from "node:http2";
import { stripVTControlCharacters } from "node:util";
import { Code, type Server } from "../src/index.ts";
import { createGate, remembering } from "./support/agents.ts";
import { convoke, convokeInTerminal, describeInTerminal, listen, runConvoke } from "./support/process.ts";
import { startServer } from "./support/server.ts";

let server: Server;

beforeAll(async () => {
  server = await startServer();
});

async function startGate() {
  const gate = createGate();
  const { url } = await startServer({ agents: [gate.agent, remembering] });
  return { gate, url };
}

describe("lines from a pipe", () => {
  test("are the turns of one conversation; blank ones are none", async () => {
    const args = ["chat", server.url, "--agent", "remembering"];
    const { code, stdout, stderr } = await runConvoke(args, { input: "one\n\n  \ntwo" });
    expect(stdout).toBe("0 before: \n1 before: one=0 before: \n");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  test("go on with the conversation that is named", async () => {
    const args = ["chat", server.url, "--agent", "remembering", "--conversation", "chat-1"];
    await runConvoke(args, { input: "one\n" });
    expect((await runConvoke(args, { input: "two\n" })).stdout).toBe("1 before: one=0 before: \n");
  });

  test("may be more than a server lets wait", async () => {
    const { url } = await startServer({ limits: { maxQueuedTurns: 1 } });
    const { code, stdout } = await runConvoke(["chat", url], { input: "a\nb\nc\nd\ne\nf\n" });
    expect({ code, stdout }).toEqual({ code: 0, stdout: "a \nb \nc \nd \ne \nf \n" });
  });

  test("are answered one by one, while the pipe stays open", async () => {
    const chat = convoke(["chat", server.url], { input: "open" });
    chat.type("one\n");
    await chat.seen(/one \n/);
    chat.type("two\n");
    await chat.seen(/two \n/);
    chat.child.stdin?.end();
    expect((await chat.exit).code).toBe(0);
  });

  test("give an event a line with --json", async () => {
    const { stdout, stderr } = await runConvoke(["chat", server.url, "--json"], { input: "a\nb\n" });
    const events = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(events.filter((event) => event.turnFinished?.status === "STATUS_COMPLETED")).toHaveLength(2);
    expect(new Set(events.map((event) => event.conversationId)).size).toBe(1);
    expect(stderr).toBe("");
  });

  test("may be none", async () => {
    expect(await runConvoke(["chat", server.url])).toEqual({ code: 0, stdout: "", stderr: "" });
  });
});

describe("a failure", () => {
  test("of a turn is told, the next turn is answered, and the first one makes the exit code", async () => {
    const args = ["chat", server.url, "--agent", "failing"];
    const { code, stdout, stderr } = await runConvoke(args, { input: "typed\ncrash\n" });
    expect(stdout).toBe("before \nbefore \n");
    expect(stderr.split("\n")).toEqual([
      "convoke: the calendar is read-only (failed_precondition)",
      expect.stringMatching(/^convoke: agent "failing" failed .* \(internal\)$/),
      "",
    ]);
    expect(code).toBe(5);
  });

  test("of a turn is in its last event with --json", async () => {
    const args = ["chat", server.url, "--agent", "failing", "--json"];
    const { code, stdout, stderr } = await runConvoke(args, { input: "typed\n" });
    expect(JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "").turnFinished.error).toMatchObject({ code: 9 });
    expect({ code, stderr }).toEqual({ code: 5, stderr: "" });
  });

  test("of the conversation ends it: an unknown agent", async () => {
    const { code, stderr } = await runConvoke(["chat", server.url, "--agent", "nobody"], { input: "x\n" });
    expect(stderr).toMatch(/^convoke: there is no agent "nobody"; [^\n]+\n$/);
    expect(code).toBe(4);
  });

  test("of the connection ends it while the pipe stays open: nothing listens", async () => {
    const { url, close } = await startServer();
    await close();
    const { code, stderr } = await convoke(["chat", url], { input: "open" }).exit;
    expect(stderr).toMatch(/^convoke: nothing listens at this address; [^\n]+\n$/);
    expect(code).toBe(3);
  });

  test("of the server ends it between two turns: it shuts down", async () => {
    const { url, close } = await startServer();
    const chat = convoke(["chat", url], { input: "open" });
    chat.type("one\n");
    await chat.seen(/one \n/);
    await close();
    const { code, stderr } = await chat.exit;
    expect(stderr).toMatch(/convoke: the server is shutting down[^\n]+\n$/);
    expect(code).toBe(3);
  });
});

test("SIGINT ends a conversation from a pipe, and the agent stops", async () => {
  const { gate, url } = await startGate();
  const chat = convoke(["chat", url], { input: "open" });
  chat.type("one\ntwo\n");
  await chat.seen(/first/);
  chat.child.kill("SIGINT");
  expect(await chat.exit).toEqual({ code: 130, stdout: "first\n", stderr: "convoke: cancelled\n" });
  expect(await gate.stopped).toMatchObject({ code: Code.Canceled });
});

describeInTerminal("in a terminal", () => {
  test("a prompt comes before each line, and Ctrl-D ends the conversation", async () => {
    const chat = convokeInTerminal(["chat", server.url]);
    await chat.seen(/> /);
    chat.type("hello\r");
    await chat.seen(/hello \r\n/);
    await chat.seen(/> /);
    chat.type("\x04");
    expect((await chat.exit).code).toBe(0);
  });

  test("Ctrl-C stops the running turn only", async () => {
    const { gate, url } = await startGate();
    const chat = convokeInTerminal(["chat", url]);
    await chat.seen(/> /);
    chat.type("one\r");
    await chat.seen(/first/);
    chat.type("\x03");
    await chat.seen(/convoke: .*\(canceled\)/);
    expect(await gate.stopped).toMatchObject({ code: Code.Canceled });
    gate.open();
    await chat.seen(/> /);
    chat.type("two\r");
    await chat.seen(/first second\r\n/);
    await chat.seen(/> /);
    chat.type("\x04");
    expect((await chat.exit).code).toBe(0);
  });

  test("Ctrl-C takes a line back, and ends the program where there is none", async () => {
    const chat = convokeInTerminal(["chat", server.url]);
    await chat.seen(/> /);
    chat.type("wrong");
    await chat.seen(/wrong/);
    chat.type("\x03right\r");
    await chat.seen(/right \r\n/);
    await chat.seen(/> /);
    chat.type("\x03");
    const { code, stdout } = await chat.exit;
    expect(stripVTControlCharacters(stdout)).not.toMatch(/wrong ?\r\n/);
    expect(stdout).toMatch(/convoke: cancelled\r\n$/);
    expect(code).toBe(130);
  });

  test("a second Ctrl-C ends the program at once, though the server says nothing", async () => {
    const silent = createHttp2Server();
    const chat = convokeInTerminal(["chat", await listen(silent)]);
    const [stream] = await once(silent, "stream");
    const data = once(stream, "data");
    await chat.seen(/> /);
    chat.type("hello\r");
    await data;
    const more = once(stream, "data");
    chat.type("\x03");
    await more; // the request to stop the turn
    stream.on("error", () => {});
    chat.type("\x03");
    expect((await chat.exit).code).toBe(130);
  });
});

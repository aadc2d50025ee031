import { stripVTControlCharacters } from "node:util";
import { connect, defineAgent, inputRequest, Status, toolCall } from "../src/index.ts";
import { createPayer } from "./support/payer.ts";
import { convoke, convokeInTerminal, describeInTerminal, runConvoke } from "./support/process.ts";
import { startServer } from "./support/server.ts";

async function startPayer() {
  const { agent, paid } = createPayer();
  const server = await startServer({ agents: [agent] });
  return { paid, url: server.url, server };
}

const question = '? May agent "payer" call the tool "pay"?\n  pay {"amount":5}\n';

/** The command that it says, as a person would copy it. */
const commandIn = (stderr: string) => /^ {2}convoke (tasks answer \S+ \S+ .*?) {2}#/m.exec(stderr)?.[1]?.split(" ") ?? [];

async function waitingIn(url: string): Promise<string[]> {
  const agents = connect(url);
  const ids: string[] = [];
  for await (const { taskId, status } of agents.list()) if (status === Status.REQUIRES_INPUT) ids.push(taskId);
  agents.close();
  return ids;
}

describe("an answer from a pipe", () => {
  test.each(["y", "yes", "Approve", "yes, it is due", "y it is due"])("%j gives leave, and the turn goes on", async (line) => {
    const { paid, url } = await startPayer();
    const { code, stdout, stderr } = await runConvoke(["chat", url], { input: `5\n${line}\n` });
    expect(stdout).toBe("Shall I? \nI have a receipt 1.\n");
    expect({ code, stderr }).toEqual({ code: 0, stderr: question });
    expect(paid).toEqual([5]);
  });

  test.each([
    ["n", ""],
    ["no", ""],
    ["deny", ""],
    ["refuse too dear", ": too dear"],
    ["No, too dear", ": too dear"],
  ])("%j refuses it, and the agent is told why", async (line, why) => {
    const { paid, url } = await startPayer();
    const { code, stderr } = await runConvoke(["chat", url], { input: `5\n${line}\n` });
    expect(stderr).toBe(`${question}convoke: the call of tool "pay" was not approved${why} (permission_denied)\n`);
    expect(code).toBe(6);
    expect(paid).toEqual([]);
  });

  test.each(["yesterday", "y-axis", "what does it cost?", "nothing"])("%j is none, and the question stays", async (line) => {
    const { paid, url } = await startPayer();
    const { stderr } = await runConvoke(["chat", url], { input: `5\n\n${line}\nyes\n` });
    expect(stderr).toBe(`${question}convoke: y or yes allows the call, n or no refuses it; a reason may follow\n`);
    expect(paid).toEqual([5]);
  });

  test("is taken when it is asked for, and the next line is a turn again", async () => {
    const { paid, url } = await startPayer();
    const chat = convoke(["chat", url], { input: "open" });
    for (const amount of ["5", "6"]) {
      chat.type(`${amount}\n`);
      await chat.seen(/\? May agent/, "stderr");
      chat.type("yes\n");
      await chat.seen(/I have a receipt \d\.\n/);
    }
    chat.child.stdin?.end();
    expect((await chat.exit).code).toBe(0);
    expect(paid).toEqual([5, 6]);
  });

  test("is taken with --json, too, which leaves standard error alone", async () => {
    const { paid, url } = await startPayer();
    const { code, stdout, stderr } = await runConvoke(["chat", url, "--json"], { input: "5\nyes, fine\n" });
    const events = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(events.map(({ index = 0 }) => index)).toEqual(events.map((_, index) => index));
    expect(events.find((event) => event.input !== undefined)?.input).toMatchObject({ approved: true, text: "fine" });
    expect({ code, stderr, paid }).toEqual({ code: 0, stderr: "", paid: [5] });
  });

  test("may be words", async () => {
    const agent = defineAgent({
      name: "asking",
      async *run({ inputs: [given] }) {
        if (given === undefined) yield inputRequest({ prompt: "What is your name?" });
        else yield `Hello ${given.text}.`;
      },
    });
    const { url } = await startServer({ agents: [agent] });
    const { stdout, stderr } = await runConvoke(["chat", url], { input: "hi\nno, Ana\n" });
    expect({ stdout, stderr }).toEqual({ stdout: "Hello no, Ana.\n", stderr: "? What is your name?\n" });
  });

  test("may be followed by another question of the same turn", async () => {
    const agent = defineAgent({
      name: "twice",
      async *run({ inputs: [first, second] }) {
        if (first === undefined) yield inputRequest({ prompt: "Who?" });
        else if (second === undefined) yield inputRequest({ prompt: "When?" });
        else yield `${first.text}, ${second.text}.`;
      },
    });
    const { url } = await startServer({ agents: [agent] });
    const { stdout, stderr } = await runConvoke(["chat", url], { input: "a table\nAna\nat noon\n" });
    expect({ stdout, stderr }).toEqual({ stdout: "Ana, at noon.\n", stderr: "? Who?\n? When?\n" });
  });

  test("is one for each of several requests", async () => {
    const agent = defineAgent({
      name: "asking",
      async *run({ inputs }) {
        if (inputs.length > 0)
          return yield inputs.map(({ inputId, approved, text }) => `${inputId} ${approved ?? text}`).join();
        yield inputRequest({ id: "a", prompt: "Which\x1b[2J\nroom?" });
        const call = toolCall({ name: "book", arguments: { room: 1 } });
        yield inputRequest({ id: "b", prompt: "Book it?", ...(call.case === "toolCall" && { toolCall: call.value }) });
      },
    });
    const { url } = await startServer({ agents: [agent] });
    const { stdout, stderr } = await runConvoke(["chat", url], { input: "hi\nthe blue one\nno\n" });
    expect(stderr).toBe('? Which\ufffd[2J\n  room?\n? Book it?\n  book {"room":1}\n');
    expect(stdout).toBe("a the blue one,b false\n");
  });
});

describe("a question that is left", () => {
  test("by the end of the pipe says how it is answered later, and that does it", async () => {
    const { paid, url } = await startPayer();
    const left = await runConvoke(["chat", url], { input: "5\n" });
    const [taskId] = await waitingIn(url);
    expect(left.stderr).toBe(
      `${question}convoke: the task waits for an answer, which can be given later:\n` +
        `  convoke tasks answer ${url} ${taskId} --approve  # or --deny; --text says why\n`,
    );
    expect(left.code).toBe(0);
    const answered = await runConvoke(commandIn(left.stderr));
    expect(answered).toMatchObject({ code: 0, stderr: "", stdout: expect.stringMatching(/I have a receipt 1\.\n/) });
    expect(paid).toEqual([5]);
  });

  test("by SIGINT goes on waiting", async () => {
    const { paid, url } = await startPayer();
    const chat = convoke(["chat", url, "-H", "x-key: secret", "--protocol", "connect"], { input: "open" });
    chat.type("5\n");
    await chat.seen(/pay \{"amount":5\}\n/, "stderr");
    chat.child.kill("SIGINT");
    const { code, stderr } = await chat.exit;
    expect(code).toBe(130);
    expect(stderr).toMatch(/ -H 'x-key: …' --protocol connect --approve {2}#.*\nconvoke: cancelled\n$/);
    const [taskId = ""] = await waitingIn(url);
    expect((await runConvoke(["tasks", "answer", url, taskId, "--approve"])).code).toBe(0);
    expect(paid).toEqual([5]);
  });

  test("by the server, which shuts down, says so, too", async () => {
    const { url, server } = await startPayer();
    const chat = convoke(["chat", url], { input: "open" });
    chat.type("5\n");
    await chat.seen(/pay \{"amount":5\}\n/, "stderr");
    await server.close();
    const { code, stderr } = await chat.exit;
    expect(stderr).toMatch(/convoke tasks answer [\s\S]*convoke: the server is shutting down/);
    expect(code).toBe(3);
  });

  test("says nothing of it once it is answered", async () => {
    const { url } = await startPayer();
    const chat = convoke(["chat", url], { input: "open" });
    chat.type("5\nyes\n");
    await chat.seen(/receipt 1\.\n/);
    chat.child.kill("SIGINT");
    expect((await chat.exit).stderr).toBe(`${question}convoke: cancelled\n`);
  });
});

test("a question that somebody else answers first is theirs: the answer here is refused, and the call is made once", async () => {
  const { paid, url } = await startPayer();
  const chat = convoke(["chat", url], { input: "open" });
  chat.type("5\n");
  await chat.seen(/pay \{"amount":5\}\n/, "stderr");
  const [taskId = ""] = await waitingIn(url);
  expect((await runConvoke(["tasks", "answer", url, taskId, "--approve"])).code).toBe(0);
  chat.type("no\n");
  const { code, stderr } = await chat.exit;
  expect(stderr).toMatch(/convoke: no turn awaits the input "\S+" \(failed_precondition\)\n$/);
  expect(code).toBe(5);
  expect(paid).toEqual([5]);
});

test.each([["--protocol", "grpc"], ["--stream"]])(
  "convoke call %s says what its task waits for, and how it is answered",
  async (...flags) => {
    const { paid, url } = await startPayer();
    const { code, stdout, stderr } = await runConvoke(["call", url, "5", "--task-id", "it's", ...flags]);
    expect({ code, stdout: stdout.trimEnd() }).toEqual({ code: 0, stdout: "Shall I?" });
    expect(stderr).toBe(
      `${question}convoke: the task waits for an answer, which can be given later:\n` +
        `  convoke tasks answer ${url} 'it'\\''s' --approve  # or --deny; --text says why\n`,
    );
    expect((await runConvoke(["tasks", "answer", url, "it's", "--deny"])).code).toBe(6);
    expect(paid).toEqual([]);
  },
);

describeInTerminal("in a terminal", () => {
  test("the question has a prompt of its own, and what was typed before it is no answer but the next turn", async () => {
    const { paid, url } = await startPayer();
    const chat = convokeInTerminal(["chat", url]);
    await chat.seen(/> /);
    chat.type("5\r6\r");
    await chat.seen(/and why if you like> /);
    expect(paid).toEqual([]);
    chat.type("yes\r");
    await chat.seen(/receipt 1\.\r\n/);
    await chat.seen(/"amount":6[\s\S]*and why if you like> /);
    chat.type("no\r");
    await chat.seen(/not approved/);
    chat.type("\x04");
    expect((await chat.exit).code).toBe(0);
    expect(paid).toEqual([5]);
  });

  test.each([
    ["Ctrl-C", "\x03", 130],
    ["Ctrl-D", "\x04", 0],
  ])("%s at the question leaves the task waiting", async (_name, key, exit) => {
    const { paid, url } = await startPayer();
    const chat = convokeInTerminal(["chat", url]);
    await chat.seen(/> /);
    chat.type("5\r");
    await chat.seen(/and why if you like> /);
    chat.type(key);
    const { code, stdout } = await chat.exit;
    expect(code).toBe(exit);
    const command = commandIn(stripVTControlCharacters(stdout).replaceAll("\r", ""));
    expect((await runConvoke(command)).stdout).toMatch(/receipt 1/);
    expect(paid).toEqual([5]);
  });
});

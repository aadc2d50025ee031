import { once } from "node:events";
import { createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2";
import { stripVTControlCharacters } from "node:util";
import { Code, defineAgent } from "../src/index.ts";
import { createGate } from "./support/agents.ts";
import { convoke, convokeInTerminal, describeInTerminal, listen, paste, quotedConvoke, runConvoke } from "./support/process.ts";
import { startServer } from "./support/server.ts";

async function startGate() {
  const gate = createGate();
  const { url } = await startServer({ agents: [gate.agent] });
  return { gate, url };
}

/** An agent that writes until it is stopped, and tells how it ended. */
function createEndless() {
  let ended: () => void = () => {};
  const stopped = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const agent = defineAgent({
    name: "endless",
    async *run(_task, { signal }) {
      try {
        while (!signal.aborted) {
          yield "more\n";
          await new Promise(setImmediate);
        }
      } finally {
        ended();
      }
    },
  });
  return { agent, stopped };
}

describe("a signal cancels the call first", () => {
  test.each<[signal: NodeJS.Signals, args: string[], exit: object]>([
    ["SIGINT", [], { code: 130, stdout: "" }],
    ["SIGINT", ["--stream"], { code: 130, stdout: "first\n" }],
    ["SIGTERM", [], { code: 143, stdout: "" }],
  ])("%s %j", async (signal, args, exit) => {
    const { gate, url } = await startGate();
    const call = convoke(["call", url, ...args, "x"]);
    await gate.running;
    if (args.length > 0) await call.seen(/first/);
    call.child.kill(signal);
    expect(await call.exit).toEqual({ ...exit, stderr: "convoke: cancelled\n" });
    expect(await gate.stopped).toMatchObject({ code: Code.Canceled });
  });

  test("by a reset of its stream, on a connection that is still there", async () => {
    const raw = createHttp2Server();
    const events: string[] = [];
    raw.on("session", (session) => {
      session.on("goaway", () => events.push("goaway"));
      session.on("close", () => events.push("connection closed"));
    });
    const call = convoke(["call", await listen(raw), "x"]);
    const [stream]: ServerHttp2Stream[] = await once(raw, "stream");
    stream?.on("error", () => {}).on("close", () => events.push(`reset ${stream.rstCode}`));
    call.child.kill("SIGINT");
    expect((await call.exit).code).toBe(130);
    raw.close();
    await once(raw, "close");
    expect(events[0]).toBe("reset 8"); // CANCEL (RFC 9113, section 7)
  });
});

describe("a reader that leaves", () => {
  test("ends the call quietly, and the agent stops", async () => {
    const { agent, stopped } = createEndless();
    const { url } = await startServer({ agents: [agent] });
    const line = `${quotedConvoke} call ${url} --stream x | head -1`;
    expect(await paste(line).exit).toEqual({ code: 141, stdout: "more\n", stderr: "" });
    await stopped;
  });

  test("of a whole answer is no crash either", async () => {
    const { url } = await startServer();
    const { code, stderr } = await paste(`${quotedConvoke} call ${url} x | true`).exit;
    expect(stderr).toMatch(/^(?:\nSources\n[^\n]+\n)?$/);
    expect([0, 141]).toContain(code); // the pipe may take it before it breaks
  });

  test("of standard error alone changes nothing", async () => {
    const { url } = await startServer();
    expect(await paste(`${quotedConvoke} call ${url} x 2> >(true)`).exit).toMatchObject({ code: 0, stdout: "x\n" });
  });
});

describeInTerminal("in a terminal", () => {
  test("a spinner turns until the first piece comes", async () => {
    const { gate, url } = await startGate();
    const call = convokeInTerminal(["call", url, "--stream", "x"]);
    await call.seen(/waiting for the agent/);
    await call.seen(/first/);
    gate.open();
    const { code, stdout } = await call.exit;
    expect(code).toBe(0);
    expect(afterSpinner(stdout)).toBe("first second\n");
  });

  test("Ctrl-C cancels the call and leaves the cursor visible", async () => {
    const { gate, url } = await startGate();
    const call = convokeInTerminal(["call", url, "x"]);
    await call.seen(/waiting for the agent/);
    await gate.running;
    call.type("\x03");
    const { code, stdout } = await call.exit;
    expect(code).toBe(130);
    expect(afterSpinner(stdout)).toBe("convoke: cancelled\n");
    expect(await gate.stopped).toMatchObject({ code: Code.Canceled });
  });

  test("a question from the keyboard ends with Ctrl-D", async () => {
    const { url } = await startServer();
    const call = convokeInTerminal(["call", url, "-"]);
    call.type("typed\n\x04");
    const { code, stdout } = await call.exit;
    expect(code).toBe(0);
    expect(stdout).toMatch(/typed\r\n/);
  });

  test("without a question it says what to do", async () => {
    const { stdout } = await convokeInTerminal(["call", "localhost:1"]).exit;
    expect(stdout).toBe("convoke: there is nothing to ask; add the text, or give it on standard input\r\n");
  });
});

test("without a terminal nothing is written but the answer", async () => {
  const { url } = await startServer();
  const { stdout, stderr } = await runConvoke(["call", url, "x"], { env: { FORCE_COLOR: "1", TERM: "xterm" } });
  expect(stdout + stderr).not.toContain("\x1b");
});

/** What stays on the screen: all after the cursor is shown again, without the control sequences. */
function afterSpinner(text: string): string {
  const shown = text.lastIndexOf("\x1b[?25h");
  if (shown === -1) throw new Error(`the cursor stays hidden: ${JSON.stringify(text)}`);
  return stripVTControlCharacters(text.slice(shown)).replaceAll("\r\n", "\n");
}

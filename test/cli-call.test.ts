import { once } from "node:events";
import { createServer as createHttp1Server } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { createServer as createTcpServer, type Server as NetServer } from "node:net";
import type { Server } from "../src/index.ts";
import { createGate } from "./support/agents.ts";
import { convoke, listen, paste, quotedConvoke, runConvoke } from "./support/process.ts";
import { losesConnections, startServer } from "./support/server.ts";

let server: Server;

beforeAll(async () => {
  server = await startServer();
});

describe("an answer", () => {
  test("goes to standard output, its sources to standard error", async () => {
    const { code, stdout, stderr } = await runConvoke(["call", server.url, "hello there"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "hello there\n" });
    expect(stderr).toBe("\nSources\n  1. task:content, line 1–2 (The question): “hello there”\n");
  });

  test("comes piece by piece with --stream", async () => {
    const gate = createGate();
    const { url } = await startServer({ agents: [gate.agent] });
    const call = convoke(["call", url, "--stream", "x"]);
    expect((await call.seen(/.+/))[0]).toBe("first");
    gate.open();
    expect(await call.exit).toEqual({ code: 0, stdout: "first second\n", stderr: "" });
  });

  test("is one line of the contract's JSON with --json", async () => {
    const { code, stdout, stderr } = await runConvoke(["call", server.url, "--json", "--task-id", "j-1", "hello"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^[^\n]+\n$/);
    expect(JSON.parse(stdout)).toMatchObject({ taskId: "j-1", content: "hello ", status: "STATUS_COMPLETED" });
  });

  test("is an event a line with --stream --json", async () => {
    const { stdout, stderr } = await runConvoke(["call", server.url, "--stream", "--json", "a b"]);
    const chunks = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(chunks.map((chunk) => chunk.index ?? 0)).toEqual([0, 1, 2, 3, 4]);
    expect(chunks[0]).toMatchObject({ text: "a " });
    expect(chunks[4]).toMatchObject({ isFinal: true, status: "STATUS_COMPLETED" });
    expect(stderr).toBe("");
  });

  test.each(["grpc", "grpc-web", "connect"])("comes over %s", async (protocol) => {
    expect((await runConvoke(["call", server.url, "--protocol", protocol, "hi"])).stdout).toBe("hi\n");
  });

  test("is the agent's, and the conversation's, that the options name", async () => {
    const args = ["call", server.url, "--agent", "remembering", "--conversation", "c-1"];
    expect((await runConvoke([...args, "one"])).stdout).toBe("0 before:\n");
    expect((await runConvoke([...args, "two"])).stdout).toBe("1 before: one=0 before:\n");
  });

  test("starts with a dash where the question does", async () => {
    expect((await runConvoke(["call", server.url, "--", "-5 + 3"])).stdout).toBe("-5 + 3\n");
  });
});

describe("the question", () => {
  test.each([[[]], [["-"]]])("is read from standard input (%j)", async (args) => {
    const { stdout } = await runConvoke(["call", server.url, ...args], { input: " two\nlines €\n\n" });
    expect(stdout).toBe(" two\nlines €\n");
  });

  test("that is more than a message carries is refused before it is sent", async () => {
    const { code, stderr } = await runConvoke(["call", server.url], { input: "x".repeat(4 * 1024 * 1024 + 1) });
    expect({ code, stderr }).toMatchObject({
      code: 2,
      stderr: "convoke: standard input is more than 4194304 bytes, the most that one message carries\n",
    });
  });

  test("is missing where standard input is closed", async () => {
    const { code, stderr } = await paste(`${quotedConvoke} call ${server.url} <&-`).exit;
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining("there is nothing to ask") });
  });
});

test("headers and the deadline reach the server", async () => {
  const raw = createHttp2Server();
  const stream = once(raw, "stream");
  const args = ["--header", "authorization: Bearer a:b", "-H", "x-team: blue", "--timeout", "10s"];
  const call = convoke(["call", await listen(raw), ...args, "x"]);
  const [, headers] = await stream;
  expect(headers).toMatchObject({ authorization: "Bearer a:b", "x-team": "blue", "grpc-timeout": "10000m" });
  call.child.kill("SIGINT");
  await call.exit;
});

describe("a failure is one sentence, with its kind as exit code:", () => {
  test.each<[what: string, args: string[], code: number, sentence: RegExp]>([
    ["the agent failed", ["-a", "failing", "crash"], 1, /agent "failing" failed in an unforeseen way \(internal\)/],
    ["an unknown agent", ["-a", "nobody", "x"], 4, /there is no agent "nobody"; the agents here are echo, /],
    ["refused", ["-a", "failing", "typed"], 5, /the calendar is read-only \(failed_precondition\)/],
    ["refused while it streams", ["-a", "failing", "--stream", "typed"], 5, /the calendar is read-only/],
    ["too long a task id", ["--task-id", "x".repeat(129), "x"], 5, /task_id/],
  ])("%s", async (_what, args, code, sentence) => {
    const exit = await runConvoke(["call", server.url, ...args]);
    expect(exit.stderr).toMatch(sentence);
    expect(exit.stderr).toMatch(/^convoke: [^\n]+\n$/);
    expect(exit.code).toBe(code);
    expect(exit.stdout).toBe(args.includes("--stream") ? "before \n" : "");
  });

  test("the deadline is over", async () => {
    const gate = createGate();
    const { url } = await startServer({ agents: [gate.agent] });
    const { code, stderr } = await runConvoke(["call", url, "--timeout", "300ms", "x"]);
    expect(stderr).toMatch(/\(deadline_exceeded\); --timeout gives more time\n$/);
    expect(code).toBe(8);
  });

  test("too much asked", async () => {
    const gate = createGate();
    const { url } = await startServer({ agents: [gate.agent], limits: { maxRunningTasks: 1 } });
    const first = convoke(["call", url, "x"]);
    await gate.running;
    const { code, stderr } = await runConvoke(["call", url, "y"]);
    expect(stderr).toMatch(/\(resource_exhausted\); ask for less, or try again in a moment\n$/);
    expect(code).toBe(7);
    gate.open();
    expect((await first.exit).code).toBe(0);
  });

  test("with --json it is google.rpc.Status with its details", async () => {
    const { code, stdout, stderr } = await runConvoke(["call", server.url, "--json", "-a", "nobody", "x"]);
    expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
    expect(JSON.parse(stderr)).toMatchObject({
      code: 5,
      details: [{ "@type": "type.googleapis.com/google.rpc.ResourceInfo", resourceName: "nobody" }],
    });
  });
});

describe("a server that cannot be reached is exit code 3:", () => {
  test.each<[what: string, server: () => NetServer, scheme: string, sentence: RegExp]>([
    ["speaks HTTP/1.1 only", () => createHttp1Server((_, response) => response.end("hi")), "http", /speaks no HTTP\/2;/],
    [
      "speaks no TLS",
      () => createTcpServer((socket) => socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n")), // a reset is as good
      "https",
      /no TLS; write http:\/\//,
    ],
  ])("it %s", async (_what, create, scheme, sentence) => {
    const { code, stderr } = await runConvoke(["call", `${scheme}://${await listen(create())}`, "x"]);
    expect(stderr).toMatch(sentence);
    expect(stderr).toMatch(/^convoke: [^\n]+\n$/);
    expect(code).toBe(3);
  });

  test("it goes away in the middle of the call", async () => {
    const { code, stderr } = await runConvoke(["call", await listen(losesConnections()), "x"]);
    expect(stderr).toMatch(/^convoke: the connection was lost before the answer was whole [^\n]+\n$/);
    expect(code).toBe(3);
  });

  test("nothing listens there", async () => {
    const { url, close } = await startServer();
    await close();
    const { code, stderr } = await runConvoke(["call", url, "x"]);
    expect(stderr).toMatch(/^convoke: nothing listens at this address; [^\n]+\n$/);
    expect(code).toBe(3);
  });
});

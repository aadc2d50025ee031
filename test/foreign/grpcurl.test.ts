import { spawn } from "node:child_process";
import { once } from "node:events";
import { Code } from "@connectrpc/connect";
import type { Server } from "../../src/index.ts";
import { createGate } from "../support/agents.ts";
import { startServer } from "../support/server.ts";
import { describeWith, findTool, runTool } from "../support/tools.ts";

type Reply = Record<string, unknown>;

/** grpcurl exits with this plus the gRPC code. */
const exitCodeBase = 64;

/** Takes apart what grpcurl prints: JSON objects of many lines, one after another. */
function readReplies(text: string): Reply[] {
  const objects = text.split(/(?<=^\})\n/m).filter((object) => object.trim() !== "");
  return objects.map((object) => JSON.parse(object));
}

describeWith(findTool("grpcurl", "GRPCURL"), "grpcurl, without proto files", (path) => {
  let server: Server;
  const address = () => `127.0.0.1:${server.port}`;
  /** Arguments of grpcurl, the flags before the address, the rest after it. */
  const grpcurl = async (flags: readonly string[], ...rest: string[]) => {
    const { exitCode, stdout, stderr } = await runTool(path, ["-plaintext", ...flags, address(), ...rest]);
    return { exitCode, stdout: stdout.toString(), stderr };
  };
  const call = async (method: string, request: object) => {
    const { stdout } = await grpcurl(["-d", JSON.stringify(request)], method);
    return readReplies(stdout);
  };
  const failure = async (method: string, request: object) => {
    const { exitCode, stderr } = await grpcurl(["-format-error", "-d", JSON.stringify(request)], method);
    return { exitCode, error: JSON.parse(stderr) };
  };

  beforeAll(async () => {
    server = await startServer();
  });

  test("list names the services", async () => {
    const { stdout } = await grpcurl([], "list");
    expect(stdout.trim().split("\n")).toEqual([
      "agent.AgentService",
      "agent.v1.AgentService",
      "agent.v1.MemoryService",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ]);
  });

  test("list of a service names its methods", async () => {
    const { stdout } = await grpcurl([], "list", "agent.v1.AgentService");
    const methods = ["CancelTask", "Converse", "GetTask", "ListTasks", "ProcessTask", "StreamResponse"];
    expect(stdout.trim().split("\n")).toEqual(methods.map((method) => `agent.v1.AgentService.${method}`));
  });

  test.each([
    [
      "a service",
      "agent.v1.AgentService",
      "rpc StreamResponse ( .agent.v1.TaskRequest ) returns ( stream .agent.v1.TokenChunk );",
    ],
    ["a method", "agent.v1.AgentService.GetTask", "option idempotency_level = NO_SIDE_EFFECTS;"],
    ["a message", "agent.v1.TokenUsage", "int32 completion_tokens = 2;"],
    ["an enum", "agent.v1.Status", "STATUS_CANCELLED = 5;"],
    ["an imported message", "google.rpc.Status", "repeated .google.protobuf.Any details = 3;"],
    ["the contract as first published", "agent.Status", "REQUIRES_TOOL_CALL = 1;"],
  ])("describe shows %s", async (_what, symbol, line) => {
    const { stdout } = await grpcurl([], "describe", symbol);
    expect(stdout).toContain(line);
  });

  test("describe of what is not there fails and says so", async () => {
    const { exitCode, stderr } = await grpcurl([], "describe", "agent.v1.Nope");
    expect(exitCode).not.toBe(0);
    expect(stderr).toMatch(/agent\.v1\.Nope/);
  });

  test("a unary call answers", async () => {
    expect(await call("agent.v1.AgentService/ProcessTask", { content: "one two" })).toMatchObject([
      { content: "one two ", status: "STATUS_COMPLETED", usage: { promptTokens: 3 }, citations: [{ uri: "task:content" }] },
    ]);
  });

  test("a stream delivers every event", async () => {
    expect(await call("agent.v1.AgentService/StreamResponse", { content: "one two" })).toMatchObject([
      { text: "one " },
      { text: "two ", index: 1 },
      { usage: { promptTokens: 3 }, index: 2 },
      { citation: { quote: "one two" }, index: 3 },
      { status: "STATUS_COMPLETED", isFinal: true, index: 4 },
    ]);
  });

  test("the contract as first published streams the text alone", async () => {
    expect(await call("agent.AgentService/StreamResponse", { task_id: "g-1", content: "one two" })).toEqual([
      { taskId: "g-1", text: "one " },
      { taskId: "g-1", text: "two ", index: 1 },
      { taskId: "g-1", isFinal: true, index: 2 },
    ]);
  });

  test("a conversation goes turn by turn", async () => {
    const args = ["-plaintext", "-d", "@", address(), "agent.v1.AgentService/Converse"];
    const child = spawn(path, args, { stdio: ["pipe", "pipe", "inherit"] });
    const closed = once(child, "close");
    let printed = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
    const send = (request: object) => child.stdin.write(JSON.stringify(request));
    const turnsFinished = async (count: number) => {
      while (printed.split('"turnFinished"').length <= count || !printed.endsWith("\n}\n")) await once(child.stdout, "data");
    };
    send({ agent_id: "remembering", start_turn: { content: "one" } });
    await turnsFinished(1);
    send({ start_turn: { content: "two" } });
    await turnsFinished(2);
    child.stdin.end();
    expect(await closed).toEqual([0, null]);
    const replies = readReplies(printed);
    expect(replies.flatMap((reply) => ("text" in reply ? [reply["text"]] : []))).toEqual([
      "0 before: ",
      "1 before: one=0 before: ",
    ]);
    expect(new Set(replies.map((reply) => reply["conversationId"])).size).toBe(1);
  });

  test("an error comes with its code, its sentence and the type of its detail", async () => {
    const { exitCode, error } = await failure("agent.v1.AgentService/ProcessTask", { content: "" });
    expect(exitCode).toBe(exitCodeBase + Code.InvalidArgument);
    expect(error).toMatchObject({
      code: Code.InvalidArgument,
      message: "content is missing; say what is asked",
      details: [{ "@type": "type.googleapis.com/google.rpc.BadRequest" }],
    });
  });

  // Fails as long as src/server/reflection.ts leaves out google/rpc/error_details.proto; then it becomes a plain test.
  test("reflection tells what the details of an error say", async () => {
    const { error } = await failure("agent.v1.AgentService/ProcessTask", { content: "" });
    expect(error).toMatchObject({
      details: [{ fieldViolations: [{ field: "content", description: "is missing; say what is asked" }] }],
    });
  });

  test("a deadline ends the call with DEADLINE_EXCEEDED, and stops its agent", async () => {
    const gate = createGate();
    const { port } = await startServer({ agents: [gate.agent] });
    const args = ["-plaintext", "-max-time", "1.5", "-d", '{"content":"x"}'];
    const { exitCode } = await runTool(path, [...args, `127.0.0.1:${port}`, "agent.v1.AgentService/StreamResponse"]);
    expect(exitCode).toBe(exitCodeBase + Code.DeadlineExceeded);
    expect(await gate.stopped).toMatchObject({ name: "ConnectError" });
  });

  test("health answers SERVING", async () => {
    expect(await call("grpc.health.v1.Health/Check", { service: "agent.v1.AgentService" })).toEqual([{ status: "SERVING" }]);
  });

  test("health of an unknown service is NOT_FOUND", async () => {
    const { exitCode } = await failure("grpc.health.v1.Health/Check", { service: "nope" });
    expect(exitCode).toBe(exitCodeBase + Code.NotFound);
  });
});

import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { ServeOptions } from "../../src/index.ts";
import { createGate } from "../support/agents.ts";
import { startServer } from "../support/server.ts";
import { describeWith, runTool } from "../support/tools.ts";
import { findPythonWithGrpc, generateStubs } from "./python.ts";

const client = fileURLToPath(new URL("client.py", import.meta.url));

describeWith(await findPythonWithGrpc(), "Python, with stubs from the contract as first published", (path) => {
  let stubs: string;

  /** Runs one scenario of client.py against a server of its own. */
  const play = async (api: string, scenario: string, options: Partial<ServeOptions> = {}) => {
    const { port } = await startServer(options);
    const { exitCode, stdout, stderr } = await runTool(path, [client, stubs, api, scenario, `127.0.0.1:${port}`]);
    if (exitCode !== 0) throw new Error(`client.py ended with ${exitCode}: ${stderr}`);
    return JSON.parse(stdout.toString());
  };

  beforeAll(async () => {
    stubs = await generateStubs(path);
  });
  afterAll(() => rm(stubs, { recursive: true }));

  describe.each([
    ["grpc", "sync"],
    ["grpc.aio", "aio"],
  ])("%s", (_module, api) => {
    test("a unary call answers", async () => {
      expect(await play(api, "unary")).toEqual({
        task_id: "task-001",
        content: "hello there ",
        usage: [3, 2],
        status: "COMPLETED",
      });
    });

    test("a stream delivers the text, numbered on its own, up to is_final", async () => {
      expect(await play(api, "stream")).toEqual([
        [0, "one ", false],
        [1, "two ", false],
        [2, "", true],
      ]);
    });

    test("a conversation goes turn by turn and ends when the caller is done", async () => {
      expect(await play(api, "converse")).toEqual({
        replies: [
          ["turn-0", 0, "0 before: ", false, "COMPLETED"],
          ["turn-0", 1, "", true, "COMPLETED"],
          ["turn-1", 0, "1 before: one=0 before: ", false, "COMPLETED"],
          ["turn-1", 1, "", true, "COMPLETED"],
        ],
        ended: true,
      });
    });

    test("an unknown agent is NOT_FOUND with a sentence and a ResourceInfo", async () => {
      const details = 'there is no agent "nobody"; the agents here are echo, failing, asking, remembering';
      expect(await play(api, "error")).toEqual({ code: "NOT_FOUND", details, rich: true });
    });

    test("a timeout ends the stream with DEADLINE_EXCEEDED, after what came before it, and stops the agent", async () => {
      const gate = createGate();
      expect(await play(api, "deadline", { agents: [gate.agent] })).toMatchObject({
        before: ["first"],
        code: "DEADLINE_EXCEEDED",
      });
      expect(await gate.stopped).toMatchObject({ name: "ConnectError" });
    });

    test("cancel ends the stream with CANCELLED and stops the agent", async () => {
      const gate = createGate();
      expect(await play(api, "cancel", { agents: [gate.agent] })).toMatchObject({ before: ["first"], code: "CANCELLED" });
      expect(await gate.stopped).toMatchObject({ name: "ConnectError" });
    });
  });
});

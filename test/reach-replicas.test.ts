import { fileURLToPath } from "node:url";
import { type Agents, Code, connect, defineAgent, Status } from "../src/index.ts";
import { startLoad, until } from "./fault/load.ts";
import { createProcesses } from "./fault/processes.ts";
import { createReplicas } from "./fault/replicas.ts";
import { startProgram } from "./support/process.ts";
import { codeOf } from "./support/reach.ts";
import { startServer } from "./support/server.ts";

const processes = createProcesses();
const replicas = createReplicas(processes);
const clients: Agents[] = [];

afterAll(async () => {
  for (const agents of clients) agents.close();
  await processes.stop();
});

function reach(...urls: readonly string[]): Agents {
  const agents = connect({ urls });
  clients.push(agents);
  return agents;
}

test("no call fails when one of three replicas is killed (-9), comes back and gets calls again, and another is drained", async () => {
  const started = await Promise.all(["one", "two", "three"].map((name) => replicas.start(name, { delayMs: 5 })));
  const [one, two] = started;
  if (one === undefined || two === undefined) throw new Error("three were started");
  const agents = reach(...started.map(({ url }) => url));
  const load = startLoad(200, async () => (await agents.process("who?", { timeoutMs: 10_000 })).content);
  await until(() => load.answers.size === 3, 5_000);
  await one.kill();
  const again = await replicas.start("one again", { port: one.port, delayMs: 5 });
  expect(await until(() => load.answers.has(again.name), 10_000)).toBeLessThan(10_000);
  await two.drain();
  await load.stop();
  expect(load.failures).toEqual([]);
});

describe("connect({ urls })", () => {
  const countsRuns = () => {
    const ids: string[] = [];
    const agent = defineAgent({
      name: "counting",
      async *run({ id }) {
        ids.push(id);
        yield "counted";
      },
    });
    return { agent, ids };
  };

  test("asks, streams and converses as connect does", async () => {
    const servers = await Promise.all([startServer(), startServer()]);
    const agents = reach(...servers.map(({ url }) => url));
    const response = await agents.agent("echo").process("hello there");
    expect([response.content, response.status]).toEqual(["hello there ", Status.COMPLETED]);
    let text = "";
    for await (const chunk of agents.stream("a b")) text += chunk.text;
    expect(text).toBe("a b ");
    const chat = agents.converse();
    chat.send("hi");
    chat.end();
    let said = "";
    for await (const { event } of chat) if (event.case === "text") said += event.value;
    expect(said).toBe("hi ");
  });

  test("gives a task an id, so that it can be sent again, and keeps the caller's", async () => {
    const { agent, ids } = countsRuns();
    const agents = reach((await startServer({ agents: [agent] })).url);
    await agents.process("a");
    await agents.process({ content: "b", taskId: "mine" });
    await agents.process({ content: "b", taskId: "mine" });
    expect(ids).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/), "mine"]);
  });

  test.each<[what: string, urls: string[]]>([
    ["no URL", []],
    ["a URL that is none", ["http://127.0.0.1:1", "nonsense://"]],
  ])("is refused with %s", (_what, urls) => {
    expect(() => connect({ urls })).toThrow(TypeError);
  });

  test("fails with UNAVAILABLE when all are away", async () => {
    expect(await codeOf(reach("http://127.0.0.1:1", ":1").process("hello"))).toBe(Code[Code.Unavailable]);
  });
});

describe("the process", () => {
  const program = fileURLToPath(new URL("fixtures/reach/call.ts", import.meta.url));
  const run = (...args: readonly string[]) => startProgram([process.execPath, program, ...args]).exit;

  test("ends by itself though connections and their health watches are open", async () => {
    const servers = await Promise.all([startServer(), startServer()]);
    expect(await run(servers.map(({ url }) => url).join(","))).toEqual({ code: 0, stdout: "hello \n", stderr: "" });
  });

  test("stays alive while a call waits for an endpoint, and ends after it", async () => {
    expect(await run("http://127.0.0.1:1", "wait")).toEqual({ code: 0, stdout: "failed: DeadlineExceeded\n", stderr: "" });
  });
});

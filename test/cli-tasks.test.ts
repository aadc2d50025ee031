import { setTimeout as delay } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { createPacing } from "../src/cli/pacing.ts";
import { TaskRequestSchema } from "../src/contract/index.ts";
import { rootEnvelope } from "../src/core/index.ts";
import {
  type Agents,
  Code,
  connect,
  createMemoryStore,
  defineAgent,
  type Server,
  Status,
  type Store,
  toolCall,
  usage,
} from "../src/index.ts";
import { type KeptStep, taskLogName, writeBegin, writeStep } from "../src/task/entries.ts";
import { asking, createGate, echo, failing } from "./support/agents.ts";
import { convoke, paste, quotedConvoke, runConvoke } from "./support/process.ts";
import { startServer } from "./support/server.ts";

let server: Server;
let store: Store;
let agents: Agents;

/** Runs tools of its own, and says what it finds. */
const looking = defineAgent({
  name: "looking",
  async *run() {
    yield "It is ";
    yield toolCall({ id: "c-1", name: "clock", arguments: { zone: "\x1b[31m" } });
    yield "noon.\n";
    yield usage({ prompt: 7, completion: 4 });
  },
});

const clients: Agents[] = [];

function clientOf({ url }: Pick<Server, "url">): Agents {
  const client = connect(url);
  clients.push(client);
  return client;
}

beforeAll(async () => {
  store = createMemoryStore();
  server = await startServer({ agents: [echo, failing, asking, looking], store });
  agents = clientOf(server);
});
afterAll(() => {
  for (const client of clients) client.close();
});

function tasks(part: string, ...args: string[]) {
  return runConvoke(["tasks", part, server.url, ...args]);
}

const time = String.raw`\d{4}-\d\d-\d\dT[\d:.]+Z`;

describe("list", () => {
  let listed: Server;

  beforeAll(async () => {
    const gate = createGate();
    listed = await startServer({ agents: [echo, failing, asking, gate.agent], store: createMemoryStore() });
    const client = clientOf(listed);
    await client.process({ taskId: "a", content: "x" });
    await client.process({ taskId: "b", agentId: "asking", content: "x", availableTools: [{ name: "clock" }] });
    await client.process({ taskId: "c", agentId: "failing", content: "typed" }).catch(() => {});
    for await (const _ of client.stream({ taskId: "d", agentId: "gated", content: "x", detached: true })) break;
  });

  test("prints the tasks by id, with agent, status, when they began and how long they took", async () => {
    const { code, stdout, stderr } = await runConvoke(["tasks", "list", listed.url]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const rows = [
      "TASK  AGENT    STATUS                  BEGAN                     TOOK",
      `a     echo     completed               ${time}  \\d+ms`,
      `b     asking   waits for tool results  ${time}  -`,
      `c     failing  failed                  ${time}  \\d+ms`,
      `d     gated    running                 ${time}  [\\d.]+m?s so far`,
    ];
    expect(stdout).toMatch(new RegExp(`^${rows.join("\n")}\n$`));
  });

  test("prints the contract's JSON, a task a line, without answers", async () => {
    const { stdout } = await runConvoke(["tasks", "list", listed.url, "--json", "--limit", "2"]);
    const lines = stdout.trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ taskId: "a", agentId: "echo", status: "STATUS_COMPLETED", nextIndex: 4 }),
      expect.objectContaining({ taskId: "b", agentId: "asking", status: "STATUS_REQUIRES_TOOL_CALL" }),
    ]);
    expect(stdout).not.toContain("response");
    expect((await runConvoke(["tasks", "list", listed.url, "--limit", "0"])).stdout).toBe("there are no tasks\n");
  });

  test("goes on from page to page, and keeps its columns", async () => {
    const many = await startServer();
    const client = clientOf(many);
    const ids = Array.from({ length: 205 }, (_, index) => `t-${String(index).padStart(3, "0")}`);
    await Promise.all(ids.map((taskId) => client.process({ taskId, content: "x" })));
    const { stdout } = await runConvoke(["tasks", "list", many.url]);
    const [head = "", ...rows] = stdout.trimEnd().split("\n");
    expect(rows.map((row) => row.split(" ")[0])).toEqual(ids);
    expect(new Set([head, ...rows].map((row) => row.search(/STATUS|completed/))).size).toBe(1);
  });

  test("prints no task of other callers, and says when there is none", async () => {
    const { url } = await startServer();
    expect(await runConvoke(["tasks", "list", url])).toEqual({ code: 0, stdout: "there are no tasks\n", stderr: "" });
    expect(await runConvoke(["tasks", "list", url, "--json"])).toEqual({ code: 0, stdout: "", stderr: "" });
  });
});

describe("show", () => {
  test("prints where a task stands, its answer and its sources", async () => {
    await agents.process({ taskId: "s-1", content: "hello there", conversationId: "c-1" });
    const { code, stdout, stderr } = await tasks("show", "s-1");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = [
      "task          s-1",
      "agent         echo",
      "status        completed",
      `began         ${time}`,
      "took          \\d+ms",
      "events        5",
      "tokens        3 \\+ 2",
      "conversation  c-1",
      "",
      "hello there",
      "",
      "Sources",
      "  1. task:content, line 1–2 \\(The question\\): “hello there”",
    ];
    expect(stdout).toMatch(new RegExp(`^${lines.join("\n")}\n$`));
  });

  test("prints why a task failed, and what came before that", async () => {
    await agents.process({ taskId: "s-2", agentId: "failing", content: "typed" }).catch(() => {});
    const { code, stdout } = await tasks("show", "s-2");
    expect(code).toBe(0);
    expect(stdout).toMatch(/\nstatus {8}failed\nerror {9}the calendar is read-only \(failed_precondition\)\n/);
    expect(stdout).toMatch(/\n\nbefore\n$/);
  });

  test("prints the contract's JSON", async () => {
    await agents.process({ taskId: "s-3", content: "hi" });
    const { stdout } = await tasks("show", "s-3", "--json");
    expect(JSON.parse(stdout)).toMatchObject({ taskId: "s-3", status: "STATUS_COMPLETED", response: { content: "hi " } });
  });

  test("of a task that there is not is 4", async () => {
    expect(await tasks("show", "nothing")).toEqual({
      code: 4,
      stdout: "",
      stderr: 'convoke: there is no task "nothing"; it never was, or it was forgotten (not_found)\n',
    });
  });
});

describe("cancel", () => {
  test("stops a task that is at work", async () => {
    const gate = createGate();
    const gated = await startServer({ agents: [gate.agent] });
    for await (const _ of clientOf(gated).stream({ taskId: "k", content: "x", detached: true })) break;
    expect(await runConvoke(["tasks", "cancel", gated.url, "k"])).toEqual({ code: 0, stdout: "k is cancelled\n", stderr: "" });
    expect(await gate.stopped).toMatchObject({ code: Code.Canceled });
    const { stdout } = await runConvoke(["tasks", "cancel", gated.url, "k", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ taskId: "k", status: "STATUS_CANCELLED" });
  });

  test("leaves one that has ended as it is", async () => {
    await agents.process({ taskId: "k-2", content: "x" });
    expect(await tasks("cancel", "k-2")).toEqual({ code: 0, stdout: "k-2 had ended before: completed\n", stderr: "" });
  });
});

describe("replay", () => {
  test("prints text as it came, and every other event on a line of its own", async () => {
    await agents.process({ taskId: "r-1", agentId: "looking", content: "x" });
    const { code, stdout, stderr } = await tasks("replay", "r-1");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = [
      "It is ",
      '· calls the tool clock \\{"zone":"\\\\u001b\\[31m"\\} \\(c-1\\)',
      "noon.",
      "· used 7 \\+ 4 tokens",
      "· completed after \\d+ms",
    ];
    expect(stdout).toMatch(new RegExp(`^${lines.join("\n")}\n$`));
  });

  test("prints a task's sources, and how it went on with tool results", async () => {
    await agents.process({ taskId: "r-2", content: "a b" });
    const cites = "· cites task:content, line 1–2 (The question): “a b”";
    expect((await tasks("replay", "r-2")).stdout).toContain(`a b \n· used 3 + 2 tokens\n${cites}\n· completed after `);
    const availableTools = [{ name: "clock" }];
    await agents.process({ taskId: "r-3", agentId: "asking", content: "Rome", availableTools });
    const waits = await tasks("replay", "r-3");
    expect(waits.stdout).toMatch(/^· calls the tool clock {"zone":"Rome"} \(call-1\)\n· waits for tool results after \d+ms\n$/);
    await agents.process({ taskId: "r-3", toolResults: [{ callId: "call-1", resultJson: '"noon"' }] });
    const { stdout } = await tasks("replay", "r-3");
    expect(stdout.slice(waits.stdout.length)).toMatch(/^· call-1 answered: "noon"\nit is "noon"\n· completed after \d+ms\n$/);
  });

  test("ends as the task did", async () => {
    await agents.process({ taskId: "r-4", agentId: "failing", content: "typed" }).catch(() => {});
    expect(await tasks("replay", "r-4")).toEqual({
      code: 5,
      stdout: "before \n",
      stderr: "convoke: the calendar is read-only (failed_precondition)\n",
    });
    expect((await tasks("replay", "nothing")).code).toBe(4);
  });

  test("prints the contract's JSON, an event a line", async () => {
    await agents.process({ taskId: "r-5", content: "a b" });
    const { stdout } = await tasks("replay", "r-5", "--json");
    const chunks = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(chunks.map(({ index = 0 }) => index)).toEqual([0, 1, 2, 3, 4]);
    expect(chunks[0]).toMatchObject({ taskId: "r-5", text: "a ", elapsedMs: expect.any(Number) });
  });

  test("of a server that keeps no times is at once", async () => {
    const plain = await startServer();
    await clientOf(plain).process({ taskId: "p", content: "a b" });
    const { code, stdout } = await runConvoke(["tasks", "replay", plain.url, "p"]);
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^a b \n· used [^\n]+\n· cites [^\n]+\n· completed\n$/),
    });
  });

  test("of a task at work goes on live, to its end", async () => {
    const gate = createGate();
    const gated = await startServer({ agents: [gate.agent], store: createMemoryStore() });
    for await (const _ of clientOf(gated).stream({ taskId: "live", content: "x", detached: true })) break;
    const replay = convoke(["tasks", "replay", gated.url, "live"]);
    await replay.seen(/first/);
    gate.open();
    expect(await replay.exit).toMatchObject({ code: 0, stdout: expect.stringMatching(/^first second\n· completed after /) });
  });

  test("begins anew where the agent did", async () => {
    const restart: KeptStep = { event: { case: "restart", value: { from: 0 } }, elapsedMs: 20 };
    await appendTask(store, "again", [text("half", 10), restart, text("whole", 30)]);
    const died = "· the server died, and the agent begins anew: what came from event 0 on is void\n";
    expect((await tasks("replay", "again")).stdout).toBe(`half\n${died}whole\n· completed after 30ms\n`);
  });
});

describe("a replay's pauses", () => {
  const steps = [text("zero", 100), text("one", 10_000_100)];
  const replay = (...args: string[]) => convoke(["tasks", "replay", server.url, "pauses", ...args]);

  beforeAll(() => appendTask(store, "pauses", steps));

  test("are those of the task; one that is long is told, and cut, and can be left", async () => {
    const playing = replay();
    await playing.seen(/^zero\n· nothing for 2h 46m\n/);
    playing.child.kill("SIGINT");
    expect(await playing.exit).toEqual({
      code: 130,
      stdout: "zero\n· nothing for 2h 46m\n",
      stderr: "convoke: cancelled\n",
    });
  });

  test.each([[["--speed", "0"]], [["--no-timing"]]])("are not there with %j", async (args) => {
    expect(await replay(...args).exit).toEqual({ code: 0, stdout: "zeroone\n· completed after 2h 46m\n", stderr: "" });
  });

  test("are not there with --json, unless a speed is said", async () => {
    expect((await replay("--json").exit).stdout.split("\n").length).toBe(4);
    const paced = replay("--json", "--speed", "1");
    await paced.seen(/"zero"/);
    paced.child.kill("SIGTERM");
    expect(await paced.exit).toMatchObject({ code: 143, stdout: expect.not.stringContaining('"one"') });
  });

  test("count for --timeout", async () => {
    expect(await replay("--timeout", "1s").exit).toMatchObject({
      code: 8,
      stderr: "convoke: the replay took longer than its 1000 ms (deadline_exceeded); --timeout gives more time\n",
    });
  });

  test.each<[speed: number, elapsed: number[], late: number[], pauses: object[]]>([
    [1, [100, 300, 300], [0, 0, 0], [{ waitMs: 100 }, { waitMs: 200 }, { waitMs: 0 }]],
    [4, [100, 300, 1_300], [0, 0, 0], [{ waitMs: 25 }, { waitMs: 50 }, { waitMs: 250 }]],
    [0.5, [100], [0], [{ waitMs: 200 }]],
    [0, [100, 90_000_000], [0, 0], [{ waitMs: 0 }, { waitMs: 0 }]],
    [1, [100, 300, 500], [0, 150, 0], [{ waitMs: 100 }, { waitMs: 50 }, { waitMs: 200 }]], // the screen was slow
    [1, [100, 300, 500], [0, 900, 0], [{ waitMs: 100 }, { waitMs: 0 }, { waitMs: 200 }]], // the task was
    [1, [500, 400, 600], [0, 0, 0], [{ waitMs: 500 }, { waitMs: 0 }, { waitMs: 100 }]], // another server's clock
    [1, [60_000, 60_100], [0, 0], [{ waitMs: 10_000, cutMs: 60_000 }, { waitMs: 100 }]],
    [10, [60_000], [0], [{ waitMs: 6_000 }]],
    [1, [60_000, 60_100], [60_000, 0], [{ waitMs: 0 }, { waitMs: 100 }]], // it came live
  ])("at speed %d, of events at %j that came %j too late, are %j", (speed, elapsed, late, pauses) => {
    const pacing = createPacing(speed, 0);
    let nowMs = 0;
    const told = elapsed.map((elapsedMs, index) => {
      nowMs += late[index] ?? 0;
      const pause = pacing.next(elapsedMs, nowMs);
      nowMs += pause.waitMs;
      return pause;
    });
    expect(told).toEqual(pauses);
  });
});

describe("whoever leaves a replay lets the task go on:", () => {
  test.each<[how: string, leave: (url: string) => Promise<unknown>]>([
    [
      "Ctrl-C",
      async (url) => {
        const replay = convoke(["tasks", "replay", url, "t"]);
        await replay.seen(/first/);
        replay.child.kill("SIGINT");
        expect((await replay.exit).code).toBe(130);
      },
    ],
    ["--timeout", async (url) => expect((await runConvoke(["tasks", "replay", url, "t", "--timeout", "1s"])).code).toBe(8)],
  ])("%s", async (_how, leave) => {
    const gate = createGate();
    const gated = await startServer({ agents: [gate.agent], limits: { abandonAfterMs: 3_600_000 } });
    const caller = convoke(["call", gated.url, "--task-id", "t", "x"]);
    await gate.running;
    caller.child.kill("SIGKILL"); // nobody else waits for it
    await caller.exit;
    await leave(gated.url);
    gate.open();
    const client = clientOf(gated);
    expect((await client.process({ taskId: "t" })).content).toBe("first second");
  });

  test("a reader that has enough", async () => {
    let isEnough = false;
    const chatty = defineAgent({
      name: "chatty",
      async *run(_task, { signal }) {
        while (!isEnough) {
          yield "more\n";
          await delay(5, undefined, { signal });
        }
      },
    });
    const { url } = await startServer({ agents: [chatty], limits: { abandonAfterMs: 3_600_000 } });
    const caller = convoke(["call", url, "--task-id", "t", "--stream", "x"]);
    await caller.seen(/more/);
    caller.child.kill("SIGKILL");
    await caller.exit;
    const line = `${quotedConvoke} tasks replay ${url} t | head -1`;
    expect(await paste(line).exit).toEqual({ code: 141, stdout: "more\n", stderr: "" });
    isEnough = true;
    expect((await clientOf({ url }).process({ taskId: "t" })).status).toBe(Status.COMPLETED);
  });
});

test("over every wire", async () => {
  await agents.process({ taskId: "w", content: "hi" });
  for (const protocol of ["grpc", "grpc-web", "connect"]) {
    expect((await tasks("replay", "w", "--protocol", protocol)).stdout).toMatch(/^hi \n· used /);
    expect((await tasks("list", "--protocol", protocol)).stdout).toMatch(/^w {2,}echo {2,}completed /m);
  }
});

test.each<[args: string[], sentence: RegExp]>([
  [["tasks", "sing"], /unknown command 'sing'; convoke tasks --help shows how/],
  [["tasks", "show", "x"], /missing required argument 'task'/],
  [["tasks", "list", "x", "--limit", "-1"], /write a whole number of 0 or more/],
  [["tasks", "replay", "x", "t", "--speed", "fast"], /write a number of 0 to 1000, such as 2 or 0\.5/],
  [["tasks", "replay", "x", "t", "--speed", "1001"], /write a number of 0 to 1000/],
  [["tasks", "list", "ftp://x"], /"ftp:\/\/x" is no server/],
])("convoke %j is wrong usage", async (args, sentence) => {
  const { code, stdout, stderr } = await runConvoke(args);
  expect(stderr).toMatch(sentence);
  expect(stderr).toMatch(/^convoke: [^\n]+\n$/);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
});

test("a server that is not there is 3", async () => {
  expect(await runConvoke(["tasks", "list", "127.0.0.1:1"])).toMatchObject({ code: 3 });
});

function text(event: string, elapsedMs: number): KeptStep {
  return { event, elapsedMs };
}

/** Puts a task into a store, with times of its own, and ends it well. */
async function appendTask(store: Store, taskId: string, steps: readonly KeptStep[]): Promise<void> {
  const request = create(TaskRequestSchema, { taskId, content: "x" });
  const createTimeMs = Date.UTC(2026, 0, 1);
  const deadlineMs = createTimeMs + 1_000;
  const caller = { name: "anonymous", proof: "none" } as const;
  const begin = writeBegin({ agent: "echo", caller, request, createTimeMs, deadlineMs, envelope: rootEnvelope }, "r");
  const elapsedMs = steps.at(-1)?.elapsedMs ?? 0;
  const finish: KeptStep = { event: { case: "finish", value: { status: Status.COMPLETED } }, elapsedMs };
  await store.append(taskLogName(caller.name, taskId), [begin, ...[...steps, finish].map((step) => writeStep(step, ""))]);
}
